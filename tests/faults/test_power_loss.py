"""The power goes while a verb is at work: each state of the disk that this may leave is old or new, and work goes on.

The system calls of one real run are recorded; from them the states are built that `support.power_loss` describes, put
where the run was, and judged by real commands. The lock files' notes and SQLite's -shm are nobody's data.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct, structs

from blixard.errors import BlixardError
from support import syscalls
from support.commands import Ran
from support.file_log import Change, FileLog, follow, look
from support.power_loss import CrashState, Kept, Originals, crash_states
from support.processes import PROGRAM, environment
from support.verbs import VERBS, Case, Verb, file_of, tidy
from support.world import NearWorld, Picture, World, build, fast_folder, litter, picture

SEED = os.environ.get("BLIXARD_SEED", "20261124")
WHOLE = ("export over", "import replace", "import merge")


class RecordedWorld(World):
    """A world whose commands are recorded into the file `calls` beside it."""

    @property
    def calls(self) -> Path:
        return self.root.with_name("calls")

    def blixard(self, *arguments: str | Path, stdin: int | None = None, **_how: object) -> Ran:
        command = [PROGRAM, *arguments, "--data-dir", self.data]
        ran = syscalls.record(command, self.calls, stdin=stdin, env=environment())
        return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


class Recorded(Case, frozen=True):
    """A case with the log of its run, which was at `place`."""

    place: Path
    log: FileLog
    originals: Originals

    def is_new(self, world: World) -> bool:
        if self.verb not in TWO_STEPS:
            return super().is_new(world)
        found = seen(picture(world))
        assert found in (seen(self.old), seen(self.new))
        return found == seen(self.new)


class Killed(Struct, frozen=True):
    """A command of which a kill left something: at its first `operation` on a path that has `at` in it."""

    arguments: tuple[str, ...]
    operation: str
    at: str

    def prepare(self, world: World) -> None:
        def kill(operation: str, path: str) -> None:
            if operation == self.operation and self.at in path:
                os.kill(os.getpid(), signal.SIGKILL)

        assert Verb(arguments=self.arguments).run(world, observer=kill).code == -signal.SIGKILL


INTO_WEB, INTO_FRESH, GC = (VERBS[name].arguments for name in ("import replace", "import new", "gc"))
KILLED = {
    "import staged": Killed(INTO_WEB, "rename", "/web/disks/"),
    "import moved in": Killed(INTO_WEB, "run UPDATE", "/web/"),
    "import new staged": Killed(INTO_FRESH, "rename", "/.importing-fresh/disks/"),
    "import new done": Killed(INTO_FRESH, "rename", "/clusters/fresh"),
    "gc of a new one": Killed(INTO_FRESH, "rename", "/.importing-fresh/disks/"),
    "gc of what was staged": Killed(INTO_WEB, "run UPDATE", "/web/"),
}
CASES = {
    **VERBS,
    "import staged": VERBS["import replace"],
    "import moved in": VERBS["import replace"],
    "import new staged": VERBS["import new"],
    "import new done": VERBS["import new"],
    "gc of a new one": Verb(arguments=GC, again=True),
    "gc of what was staged": Verb(arguments=GC, again=True),
    "cluster init": Verb(arguments=("cluster", "init", "fresh")),
    "cluster rename": Verb(arguments=("cluster", "rename", "other", "-c", "web")),
    "cluster delete": Verb(arguments=("cluster", "delete", "web", "--yes"), prepare=(("cluster", "init", "second"),)),
    "vm set": Verb(arguments=("vm", "set", "app", "--vcpus", "3", "-c", "web"), again=True),
}
TWO_STEPS = [CASES["cluster init"], CASES["cluster rename"]]
"""What tells about it (history, the name inside the state) is written after the one rename."""
Record = Callable[[str], Recorded]


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    """Recorded runs of verbs; each is made once."""
    if why := syscalls.missing():
        pytest.skip(why)
    with fast_folder() as folder:
        base = build(folder.resolve() / "base")
        made: dict[str, Recorded] = {}

        def give(name: str) -> Recorded:
            if name not in made:
                before = base.copy(base.root.with_name(f"before {name}"))
                if name in KILLED:
                    KILLED[name].prepare(before)
                made[name] = recorded(CASES[name], before, base.root.with_name(name))
            return made[name]

        yield give


def recorded(verb: Verb, before: World, folder: Path) -> Recorded:
    folder.mkdir()
    verb.set_up(before)
    old = picture(before)
    world = RecordedWorld(before.linked_copy(folder / "world").root)
    log = look(world.root)
    ran = verb.run(world)
    assert ran.code == 0, ran
    follow(log, syscalls.calls(world.calls))
    check_complete(log, world.root)
    after = World(world.root.rename(folder / "after"))
    return Recorded(
        verb=verb,
        before=before,
        old=old,
        new=picture(after),
        old_file=file_of(before, verb),
        new_file=file_of(after, verb),
        place=world.root,
        log=log,
        originals=Originals(before.root, after.root),
    )


def check_complete(log: FileLog, root: Path) -> None:
    """With all that was recorded, the folder is what it really became: no call was overlooked."""
    [whole] = crash_states(log, [len(log.changes)], kept=[Kept.ALL])
    real = {
        str(path.relative_to(root)).encode(): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
        if not path.name.endswith("-shm")
    }
    assert whole.paths == real


def judge(case: Recorded, state: CrashState, way: int) -> None:
    """Look first; or run the same command first; or tidy first. `way` says which."""
    world = NearWorld(case.place)
    state.put(world.root, case.originals)
    if way % 3 == 1 and case.verb.again:
        assert case.verb.run(world).code == 0
        assert looks_done(case, world)
    else:
        if way % 3 == 2:
            tidy(world)
            assert litter(world) == []
        done = case.is_new(world)
        assert done or not state.done
        case.goes_on(world, done=done)
    assert litter(world) == []


def looks_done(case: Recorded, world: World) -> bool:
    """It looks as after; the verb may have been run once more, which counts as a revision of its own."""
    return seen(picture(world)) == seen(case.new) and file_of(world, case.verb) == case.new_file


def seen(clusters: dict[str, Picture]) -> list[tuple[object, ...]]:
    return [(name, each.nodes, each.vms, each.disks) for name, each in sorted(clusters.items())]


def lost(case: Recorded, state: CrashState, way: int) -> str | None:
    """Why this state is none that a power loss may leave; None when all is well."""
    try:
        judge(case, state, way)
    except (AssertionError, BlixardError, OSError) as problem:
        return f"{state}, way {way % 3}: {type(problem).__name__}: {problem}"
    finally:
        shutil.rmtree(case.place)
    return None


def check(case: Recorded, states: Iterator[CrashState]) -> int:
    """All of them are well; how many there were."""
    found = [lost(case, state, way) for way, state in enumerate(states)]
    assert [each for each in found if each] == []
    return len(found)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in WHOLE else pytest.mark.long) for name in CASES]
)
def test_after_every_change(name: str, record: Record) -> None:
    case = record(name)
    assert check(case, crash_states(case.log)) > len(case.log.changes) / 2


@pytest.mark.parametrize("name", [name for name in CASES if name not in WHOLE])
def test_after_some_changes(name: str, record: Record) -> None:
    """Spread over the run, the last one among them."""
    case = record(name)
    last = len(case.log.changes)
    assert check(case, crash_states(case.log, range(last, 0, -(last // 5)))) >= 5


@pytest.mark.parametrize("name", ["import replace", "import merge"])
def test_an_import_can_be_taken_back(name: str, record: Record) -> None:
    case = record(name)
    for state in crash_states(case.log, [len(case.log.changes)]):
        world = NearWorld(case.place)
        state.put(world.root, case.originals)
        ran = world.blixard("cluster", "undo", "-c", "web")
        found, old = picture(world)["web"], case.old["web"]
        left = litter(world)
        shutil.rmtree(world.root)

        assert ran.code == 0, (state, ran)
        assert (found.vms, found.disks) == (old.vms, old.disks), state
        assert left == [], state


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CASES)
def test_any_part_of_what_was_not_synced(name: str, record: Record) -> None:
    """With all commands, over 2,500 states; another `BLIXARD_SEED` gives others."""
    case = record(name)
    states = crash_states(case.log, kept=[Kept.SOME] * 2, seed=f"{SEED} {name}")
    assert check(case, states) > len(case.log.changes) / 4


class Omitted(Struct, frozen=True):
    """Syncs that a worse blixard would not make: of the files and folders whose path matches."""

    name: str
    path: str


OMITTED = [
    Omitted("export over", r"/out"),
    Omitted("export over", r"/out/new\.json\.gz"),
    Omitted("import replace", r".*/web/disks"),
    Omitted("import replace", r".*/disks/[0-9a-f]{32}-0\.raw"),
    Omitted("import replace", r".*/disks/[0-9a-f]{32}-1\.qcow2"),
    Omitted("import merge", r".*/web/state\.db(-wal)?"),
    Omitted("import new", r"/data/clusters"),
    Omitted("import new", r"/data/clusters/.*state\.db(-wal)?"),
    Omitted("gc of a new one", r"/data/clusters"),
    Omitted("vm create", r".*/disks/made-root-.*"),
    Omitted("vm create", r".*/disks"),
]


@pytest.mark.parametrize("omitted", OMITTED, ids=lambda each: f"{each.name} {each.path}")
def test_an_omitted_sync_is_noticed(omitted: Omitted, record: Record) -> None:
    case = record(omitted.name)
    changes = [each for each in case.log.changes if not is_omitted(case.log, each, omitted.path)]
    assert len(changes) < len(case.log.changes)

    worse = structs.replace(case, log=structs.replace(case.log, changes=changes))
    # the end first: that is where most of it is missed
    assert any(lost(worse, state, 0) for cut in range(len(changes), 0, -1) for state in crash_states(worse.log, [cut]))
    assert not any(lost(case, state, 0) for state in crash_states(case.log, [len(case.log.changes)]))


def is_omitted(log: FileLog, change: Change, path: str) -> bool:
    return change.sync and any(re.fullmatch(path, each) for each in log.paths_of(change.file))
