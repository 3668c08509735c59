"""Every verb that writes, killed or refused at each of its file operations: old or new, and the next command works."""

from __future__ import annotations

import errno
import os
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from support.commands import Ran, counting, failing, killing
from support.world import AT, Picture, World, build, fast_folder, litter, picture

Run = Callable[..., Ran]
SEED = 20260727


class Verb(Struct, frozen=True, kw_only=True):
    """A command that changes something.

    Args:
        arguments: of the command; `OUT` and `IMAGES` stand for the world's folders.
        prepare: commands that come before.
        piped: the export file that it reads from a pipe.
        again: it may be run once more after it was done, and changes nothing then.
        makes: the file of `out` that it writes.
    """

    arguments: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    piped: str | None = None
    again: bool = False
    makes: str | None = None

    def run(self, world: World, **how: object) -> Ran:
        """Run it on `world`."""
        arguments = _placed(self.arguments, world)
        if self.piped is None:
            return world.blixard(*arguments, **how)
        with subprocess.Popen(["cat", world.out / self.piped], stdout=subprocess.PIPE) as pipe:
            assert pipe.stdout is not None
            ran = world.blixard(*arguments, stdin=pipe.stdout.fileno(), **how)
            pipe.stdout.close()
        return ran

    def set_up(self, world: World) -> None:
        """Bring `world` to where the verb begins."""
        for arguments in self.prepare:
            world.must(*_placed(arguments, world))


def _placed(arguments: tuple[str, ...], world: World) -> list[str]:
    return [each.replace("OUT", str(world.out)).replace("IMAGES", str(world.images)) for each in arguments]


IMPORT = ("cluster", "import", "-i", "OUT/new.json.gz", "-c", "web", "--threads", "2")
EXPORT = ("cluster", "export", "--include-images", "--exported-at", AT, "-c", "web", "--threads", "2")
DISKS = ("--disk", "IMAGES/a.raw,name=root", "--disk", "IMAGES/b.qcow2,name=data")
VERBS = {
    "export": Verb(arguments=(*EXPORT, "-o", "OUT/made.json"), makes="made.json", again=True),
    "export over": Verb(
        arguments=(*EXPORT, "--verify", "-o", "OUT/new.json.gz"), makes="new.json.gz", again=True
    ),
    "export redacted": Verb(
        arguments=(*EXPORT[:2], *EXPORT[3:], "-o", "OUT/made.json", "--redact", "--secrets-out", "OUT/secrets"),
        makes="made.json",
        again=True,
    ),
    "import replace": Verb(arguments=IMPORT, again=True),
    "import merge": Verb(arguments=(*IMPORT, "--merge", "--replace-disks"), again=True),
    "import new": Verb(arguments=("cluster", "import", "-i", "OUT/new.json.gz", "-c", "fresh")),
    "import state last": Verb(arguments=("cluster", "import", "-i", "OUT/new-sorted.json", "-c", "web"), again=True),
    "import new state last": Verb(arguments=("cluster", "import", "-i", "OUT/new-sorted.json", "-c", "fresh")),
    "import pipe": Verb(
        arguments=("cluster", "import", "-i", "-", "-c", "web"), piped="new.json.gz", again=True
    ),
    "undo import": Verb(arguments=("cluster", "undo", "-c", "web"), prepare=(IMPORT,)),
    "vm create": Verb(arguments=("vm", "create", "made", "-c", "web", *DISKS)),
    "vm delete": Verb(arguments=("vm", "delete", "app", "-c", "web")),
    "gc": Verb(
        arguments=("cluster", "gc", "--staged", "-c", "web"), prepare=(IMPORT,), again=True
    ),
    "undo drop": Verb(arguments=("cluster", "undo", "drop", "1", "-c", "web"), prepare=(IMPORT,)),
}  # fmt: skip


@pytest.fixture(scope="module")
def worlds() -> Iterator[Callable[[str], World]]:
    """Worlds as the verbs find them; each is made once."""
    with fast_folder() as folder:
        base = build(folder / "base")
        made: dict[str, World] = {}

        def give(name: str) -> World:
            if name not in made:
                made[name] = base.copy(folder / f"before {name}")
                VERBS[name].set_up(made[name])
            return made[name]

        yield give


class Case(Struct, frozen=True):
    """A verb in its world: what it looks like before and after, and how many operations lie between."""

    verb: Verb
    before: World
    old: dict[str, Picture]
    new: dict[str, Picture]
    old_file: bytes | None
    new_file: bytes | None
    operations: int

    def points(self, dose: int | None, name: str) -> list[int]:
        """All operations, or `dose` of them, spread evenly, the same ones every day; the last always."""
        if dose is None or dose >= self.operations:
            return list(range(self.operations))
        step = self.operations / dose
        begin = zlib.crc32(f"{SEED} {name}".encode()) % 1000 / 1000 * step
        return sorted({int(begin + step * each) for each in range(dose)} | {self.operations - 1})


@pytest.fixture
def scratch() -> Iterator[Path]:
    with fast_folder() as folder:
        yield folder


def case_of(name: str, worlds: Callable[[str], World], scratch: Path) -> Case:
    verb, before = VERBS[name], worlds(name)
    after, counted = before.linked_copy(scratch / "after"), scratch / "operations"
    old = picture(before)
    ran = verb.run(after, observer=counting(counted))
    assert ran.code == 0, ran
    assert litter(after) == []
    return Case(
        verb,
        before,
        old,
        picture(after),
        _file(before, verb),
        _file(after, verb),
        len(counted.read_text().splitlines()),
    )


def _file(world: World, verb: Verb) -> bytes | None:
    path = world.out / (verb.makes or "new.json.gz")
    return path.read_bytes() if path.exists() else None


def is_new(case: Case, world: World) -> bool:
    """True: it looks as after; False: as before. Anything else is what must never be."""
    found = picture(world)
    if case.verb.makes is None:
        assert found in (case.old, case.new)
        return found == case.new
    assert found == case.old
    assert _file(world, case.verb) in (case.old_file, case.new_file)
    return _file(world, case.verb) == case.new_file


def goes_on(case: Case, world: World, *, done: bool) -> None:
    """The same command again does its work; when there is none left, the next one that writes tidies."""
    if done and not case.verb.again:
        tidy(world)
        return
    ran = case.verb.run(world)
    assert ran.code == 0, ran
    if not done:
        assert is_new(case, world)


def tidy(world: World) -> None:
    for name in picture(world):
        world.must("cluster", "gc", "--staged", "-c", name)


DOSES = [pytest.param(24, id="sample"), pytest.param(None, id="all", marks=pytest.mark.long)]


@pytest.mark.parametrize("dose", DOSES)
@pytest.mark.parametrize("name", VERBS)
def test_killed_at_an_operation(name: str, dose: int | None, worlds: Callable[[str], World], scratch: Path) -> None:
    case = case_of(name, worlds, scratch)
    for number in case.points(dose, f"kill {name}"):
        world = case.before.linked_copy(scratch / str(number))

        ran = case.verb.run(world, observer=killing(number))
        assert ran.code in (-9, 0), (number, ran)
        done = is_new(case, world)
        if number % 2:
            goes_on(case, world, done=done)
            assert litter(world) == [], number
        else:
            tidy(world)
            assert is_new(case, world) == done
            assert litter(world) == [], number
            goes_on(case, world, done=done)


TIDYING = ("unlink", "remove", "run DELETE")
"""What cannot be removed now, the next command removes."""
CODES = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES]
Marks = pytest.MarkDecorator | tuple[()]
SAMPLED: list[tuple[int, int | None, Marks]] = [
    (errno.ENOSPC, 10, ()),
    (errno.EIO, 6, ()),
    (errno.EROFS, 2, ()),
    (errno.EACCES, 2, ()),
]
ALL: list[tuple[int, int | None, Marks]] = [(code, None, pytest.mark.long) for code in CODES]
REFUSALS = [
    pytest.param(code, dose, id=f"{errno.errorcode[code]}-{'all' if dose is None else 'sample'}", marks=marks)
    for code, dose, marks in SAMPLED + ALL
]


@pytest.mark.parametrize(("code", "dose"), REFUSALS)
@pytest.mark.parametrize("name", VERBS)
def test_refused_at_an_operation(
    name: str, code: int, dose: int | None, worlds: Callable[[str], World], scratch: Path
) -> None:
    case = case_of(name, worlds, scratch)
    for number in case.points(dose, f"{code} {name}"):
        world = case.before.linked_copy(scratch / str(number))

        note = scratch / f"refused {number}"
        ran = case.verb.run(world, observer=failing(number, code, note=note))
        told = os.strerror(code).lower()
        assert ran.code in (0, 30), (number, ran)
        assert ran.code == 0 or (ran.err.splitlines()[-2].startswith("error: ") and told in ran.err), (number, ran)
        done = is_new(case, world)
        assert done or ran.code == 30, number
        if not note.exists() or not note.read_text().startswith(TIDYING):
            assert litter(world, staged=True) == [], (number, note.read_text() if note.exists() else None)
        goes_on(case, world, done=done)
        assert litter(world) == [], number
