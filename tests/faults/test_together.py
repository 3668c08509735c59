"""Commands at the same time on one cluster: one wins, the others say who holds it, and nobody is disturbed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.commands import Ran
from support.documents import MIB, noise
from support.processes import blixard, feed_half, finish, start, until
from support.world import AT, World, build, fast_folder, litter, picture

EXPORT = ("cluster", "export", "--include-images", "-c", "web", "--exported-at", AT, "-o")
WRITERS = 8


@pytest.fixture(scope="module")
def template() -> Iterator[World]:
    with fast_folder() as folder:
        yield build(folder / "base", disk_bytes=4 * MIB)


@pytest.fixture
def world(template: World) -> Iterator[World]:
    with fast_folder() as folder:
        yield template.copy(folder / "world")


@contextmanager
def importing(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """An import that is in the middle of its work, and ends its file when the block ends."""
    file = world.out / "new.json.gz"
    process = start(world, "cluster", "import", "-i", "-", "-c", "web", stdin=subprocess.PIPE)
    pipe = feed_half(process, file)
    until(lambda: list(world.cluster().incoming.glob("*/*.raw")), process)
    yield process
    content = file.read_bytes()
    pipe.write(content[len(content) // 2 :])
    pipe.close()
    process.stdin = None


@contextmanager
def exporting(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """An export that is in the middle of its work, and may finish when the block ends."""
    fifo = world.out / "fifo"
    os.mkfifo(fifo)
    process = start(world, *EXPORT, fifo)
    with fifo.open("rb") as reading:
        assert reading.read(1)
        yield process
        while reading.read(1 << 20):
            pass
    fifo.unlink()


def locked(ran: Ran, holder: subprocess.Popen[bytes], verb: str) -> None:
    assert ran.code == 21, ran
    assert f"`{verb}` (pid {holder.pid}" in ran.err
    assert "--lock-wait" in ran.err


def create(world: World, name: str) -> tuple[str | Path, ...]:
    return ("vm", "create", name, "-c", "web", "--disk", f"{world.images / 'a.raw'},name=root")


def import_of(world: World) -> tuple[str | Path, ...]:
    return ("cluster", "import", "-i", world.out / "new.json.gz", "-c", "web")


def test_while_an_import_is_at_work_everybody_else_is_told_to_wait(world: World) -> None:
    target = world.out / "other.json.gz"
    with importing(world) as process:
        tried = [blixard(world, *each) for each in (import_of(world), (*EXPORT, target), create(world, "late"))]
        shown = blixard(world, "cluster", "status", "-c", "web")
    ran = finish(process)

    for each in tried:
        locked(each, process, "cluster import")
    assert shown.code == 0
    assert ran.code == 0, ran
    assert set(picture(world)["web"].vms) == {"app", "db"}
    assert not target.exists()
    assert litter(world) == []


def test_while_an_export_is_at_work_others_edit_and_nobody_else_exports_or_imports(world: World) -> None:
    before = (world.out / "new.json.gz").read_bytes()
    with exporting(world) as process:
        second = blixard(world, *EXPORT, world.out / "new.json.gz")
        imported = blixard(world, *import_of(world))
        created = blixard(world, *create(world, "beside"))
        deleted = blixard(world, "vm", "delete", "app", "-c", "web")
    ran = finish(process)

    locked(second, process, "cluster export")
    locked(imported, process, "cluster export")
    assert (created.code, deleted.code, ran.code) == (0, 0, 0)
    assert (world.out / "new.json.gz").read_bytes() == before
    blixard(world, "cluster", "gc", "-c", "web")
    assert litter(world) == []


def test_lock_wait_waits(world: World) -> None:
    with importing(world) as process:
        waiting = start(world, *EXPORT, world.out / "later.json.gz", "--lock-wait", "1m")
        until(lambda: has_open(waiting, world.cluster().path / "locks" / "export.lock"), waiting)
        short = blixard(world, *create(world, "late"), "--lock-wait", "0.1s")
    first, second = finish(process), finish(waiting)
    made = blixard(world, "cluster", "import", "-i", world.out / "later.json.gz", "-c", "copy")

    locked(short, process, "cluster import")
    assert (first.code, second.code, made.code) == (0, 0, 0)
    assert picture(world)["copy"].disks == picture(world)["web"].disks


def has_open(process: subprocess.Popen[bytes], path: Path) -> bool:
    found = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            found.append(descriptor.readlink() == path)
        except OSError:
            continue
    return any(found)


def test_of_two_imports_at_once_one_wins_or_both_are_one_after_the_other(world: World) -> None:
    for _ in range(5):
        ends = [finish(each) for each in [start(world, *import_of(world)) for _ in range(2)]]

        assert sorted(each.code for each in ends) in ([0, 0], [0, 21])
        assert set(picture(world)["web"].vms) == {"app", "db"}
        assert litter(world) == []


def test_of_two_imports_that_make_one_cluster_one_does(world: World) -> None:
    command = ("cluster", "import", "-i", world.out / "new.json.gz", "-c", "fresh")
    codes = sorted(finish(each).code for each in [start(world, *command) for _ in range(2)])
    found = picture(world)

    assert codes in ([0, 0], [0, 21], [0, 22])
    assert set(found["fresh"].vms) == {"app", "db"}
    assert found["fresh"].disks.keys() == {"app/root", "app/data", "db/root"}
    assert litter(world) == []


def test_writers_at_once_all_succeed(world: World) -> None:
    for number in range(WRITERS):
        (world.images / f"w{number}.raw").write_bytes(noise(50_000, 100 + number))
    running = [
        start(world, "vm", "create", f"w{n}", "-c", "web", "--disk", f"{world.images / f'w{n}.raw'},name=root")
        for n in range(WRITERS)
    ]
    ends = [finish(each) for each in running]
    found = picture(world)["web"]

    assert [each.code for each in ends] == [0] * WRITERS, ends
    assert {f"w{number}" for number in range(WRITERS)} <= set(found.vms)
    assert len({found.disks[f"w{number}/root"] for number in range(WRITERS)}) == WRITERS
    assert sorted(found.done).count("vm create") == WRITERS + 3
    assert litter(world) == []


def test_everything_at_once_leaves_a_whole_cluster(world: World) -> None:
    commands = [
        import_of(world),
        (*EXPORT, world.out / "one.json.gz"),
        create(world, "new"),
        ("vm", "delete", "tmp", "-c", "web"),
        ("cluster", "gc", "-c", "web"),
        ("cluster", "undo", "-c", "web"),
    ]
    for turn in range(3):
        ends = [finish(each) for each in [start(world, *each, "--lock-wait", "1m") for each in commands]]

        assert {each.code for each in ends} <= {0, 20, 22}, (turn, ends)
        assert ends[1].code == 0, ends[1]
        blixard(world, "cluster", "gc", "-c", "web")
        assert litter(world) == [], turn
        assert blixard(world, "cluster", "verify", world.out / "one.json.gz").code == 0
