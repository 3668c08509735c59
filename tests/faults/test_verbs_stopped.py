"""Every verb that writes, killed or refused at each of its file operations: old or new, and the next command works."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import counting, failing, killing
from support.verbs import VERBS, Case, file_of, tidy
from support.world import NearWorld, World, build, fast_folder, litter, picture

SEED = 20260727


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


class Stops(Case, frozen=True):
    """A case, and how many operations lie between before and after."""

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


def case_of(name: str, worlds: Callable[[str], World], scratch: Path) -> Stops:
    verb, before = VERBS[name], worlds(name)
    after, counted = before.linked_copy(scratch / "after"), scratch / "operations"
    old = picture(before)
    ran = verb.run(after, observer=counting(counted))
    assert ran.code == 0, ran
    assert litter(after) == []
    return Stops(
        verb=verb,
        before=before,
        old=old,
        new=picture(after),
        old_file=file_of(before, verb),
        new_file=file_of(after, verb),
        operations=len(counted.read_text().splitlines()),
    )


DOSES = [pytest.param(24, id="sample"), pytest.param(None, id="all", marks=pytest.mark.long)]


@pytest.mark.parametrize("dose", DOSES)
@pytest.mark.parametrize("name", VERBS)
def test_killed_at_an_operation(name: str, dose: int | None, worlds: Callable[[str], World], scratch: Path) -> None:
    case = case_of(name, worlds, scratch)
    for number in case.points(dose, f"kill {name}"):
        world = NearWorld(case.before.linked_copy(scratch / str(number)).root)

        ran = case.verb.run(world, observer=killing(number))
        assert ran.code in (-9, 0), (number, ran)
        done = case.is_new(world)
        if number % 2:
            case.goes_on(world, done=done)
            assert litter(world) == [], number
        else:
            tidy(world)
            assert case.is_new(world) == done
            assert litter(world) == [], number
            case.goes_on(world, done=done)


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
        world = NearWorld(case.before.linked_copy(scratch / str(number)).root)

        note = scratch / f"refused {number}"
        ran = case.verb.run(world, observer=failing(number, code, note=note))
        told = os.strerror(code).lower()
        assert ran.code in (0, 30), (number, ran)
        assert ran.code == 0 or (ran.err.splitlines()[-2].startswith("error: ") and told in ran.err), (number, ran)
        done = case.is_new(world)
        assert done or ran.code == 30, number
        if not note.exists() or not note.read_text().startswith(TIDYING):
            assert litter(world, staged=True) == [], (number, note.read_text() if note.exists() else None)
        case.goes_on(world, done=done)
        assert litter(world) == [], number
