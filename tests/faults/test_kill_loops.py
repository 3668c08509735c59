"""`kill -9` at random moments of real imports and exports, over and over on one data directory."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import pytest
from msgspec import Struct

from blixard.files.seam import Observer
from support.commands import counting
from support.documents import MIB, noise
from support.processes import blixard, finish, start
from support.world import AT, NearWorld, World, fast_folder, litter, picture

DOSES = [pytest.param(20, id="20"), pytest.param(200, id="200", marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
LATER = "2026-07-28T12:00:00Z"
DISKS, DISK_BYTES = 16, 5 * MIB // 2
BITMAP_HEADER = 4096


class Seen(Struct, frozen=True):
    """What an export holds: VMs by name, disks by digest."""

    vms: dict[str, object]
    disks: dict[str, str]


@pytest.fixture(scope="module")
def template() -> Iterator[World]:
    """A cluster and two exports of it that differ in everything, disks included."""
    with fast_folder() as folder:
        world = World(folder / "base")
        for path in (world.root, world.out, world.images):
            path.mkdir()
        world.must("cluster", "init", "web")
        for number, name in enumerate(("one", "two")):
            for vm in ("app", name):
                world.must("vm", "create", vm, *disks(world, f"{name}-{vm}", number))
            world.must("cluster", "export", "-o", world.out / f"{name}.json.gz", "--include-images")
            for vm in ("app", name):
                world.must("vm", "delete", vm)
        for path in world.images.iterdir():
            path.unlink()
        yield world


def disks(world: World, name: str, seed: int) -> list[str]:
    found = []
    for number in range(DISKS // 2):
        path = world.images / f"{name}-{number}.raw"
        path.write_bytes(noise(DISK_BYTES, seed * 100 + number) + bytes(MIB))
        found += ["--disk", f"{path},name=disk{number}"]
    return found


def seen(world: World) -> Seen:
    found = picture(world)["web"]
    return Seen(found.vms, found.disks)


def killed_at_a_moment(rng: random.Random, seconds: list[float], process: subprocess.Popen[bytes]) -> int:
    """Kill it at a moment of the time that the last ones took, if it still runs; its exit code.

    One that ends before is added to `seconds`: a machine that has become faster since would kill too few.
    """
    begin = time.monotonic()
    try:
        process.wait(rng.uniform(0.1, 1.05) * median(seconds[-5:]))
        seconds.append(time.monotonic() - begin)
    except subprocess.TimeoutExpired:
        process.kill()
    return finish(process).code


def timed(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def marked_records(world: World) -> int:
    """Records that are marked as staged, in all bitmaps."""
    bitmaps = (path.read_bytes()[BITMAP_HEADER:] for path in world.cluster().incoming.glob("*/*.records"))
    return sum(bits.bit_count() for bits in (int.from_bytes(bitmap) for bitmap in bitmaps))


@pytest.mark.parametrize("dose", DOSES)
@pytest.mark.parametrize("mode", [(), ("--merge", "--replace-disks", "--match", "name")], ids=["replace", "merge"])
def test_an_import_is_killed_at_random_moments(dose: int, mode: tuple[str, ...], world: World) -> None:
    rng = random.Random(f"{mode} {dose}")
    imports: dict[str, tuple[str, ...]] = {
        name: ("cluster", "import", "-i", str(world.out / f"{name}.json.gz"), *mode) for name in ("one", "two")
    }
    seconds, states = [], {}
    for name in ("one", "two", "one", "two"):
        seconds.append(timed(partial(must, world, *imports[name])))
        states[name] = seen(world)
    assert states["one"] != states["two"]
    killed = resumed = turn = 0
    while (killed < dose or not resumed) and turn < 3 * dose:
        old, new = ("two", "one") if turn % 2 == 0 else ("one", "two")
        turn += 1
        code = killed_at_a_moment(rng, seconds, start(world, *imports[new]))
        found = seen(world)
        assert code in (0, -9)
        assert found in (states[old], states[new]), turn
        assert code != 0 or found == states[new], turn
        killed += code == -9
        to_go_on_with = 0 if found == states[new] else marked_records(world)

        report = json.loads(NearWorld(world.root).must(*imports[new], "--json").out)
        assert seen(world) == states[new], turn
        assert litter(world) == [], turn
        assert report["resumed"] == (to_go_on_with > 0), (turn, to_go_on_with)
        resumed += report["resumed"]
    assert killed >= dose
    assert resumed


@pytest.mark.parametrize("dose", DOSES)
def test_an_export_is_killed_at_random_moments(dose: int, world: World) -> None:
    rng = random.Random(dose)
    must(world, "cluster", "import", "-i", world.out / "one.json.gz")
    target = world.out / "backup.json.gz"
    export = ("cluster", "export", "-o", target, "--include-images", "--exported-at")
    seconds, contents = [], {}
    for at in (AT, LATER):
        seconds.append(timed(partial(must, world, *export, at)))
        contents[at] = target.read_bytes()
    before = sorted(world.out.iterdir())
    killed = turn = 0
    while killed < dose and turn < 3 * dose:
        old, new = (LATER, AT) if turn % 2 == 0 else (AT, LATER)
        turn += 1
        code = killed_at_a_moment(rng, seconds, start(world, *export, new))
        found = target.read_bytes()
        assert code in (0, -9)
        assert found in (contents[old], contents[new]), turn
        assert code != 0 or found == contents[new], turn
        killed += code == -9

        seconds.append(timed(partial(must, world, *export, new)))
        assert target.read_bytes() == contents[new], turn
        assert litter(world) == [], turn
        assert sorted(world.out.iterdir()) == before, turn
    assert killed == dose


def must(world: World, *arguments: str | Path) -> str:
    ran = blixard(world, *arguments)
    assert ran.code == 0, ran
    return ran.out


def test_what_was_staged_is_not_written_again(world: World) -> None:
    """Killed right before its first disk was to be moved in, the import needs to write none of them once more."""
    must(world, "cluster", "import", "-i", world.out / "one.json.gz")
    command = ("cluster", "import", "-i", world.out / "two.json.gz")

    ran = world.blixard(*command, observer=killing_at_the_first_rename())
    assert ran.code == -9
    again = world.root / "operations"
    ran = world.blixard(*command, "--json", observer=counting(again))
    written = [line for line in again.read_text().splitlines() if line.startswith("write") and line.endswith(".raw")]

    assert ran.code == 0
    assert json.loads(ran.out)["resumed"]
    assert written == []


def killing_at_the_first_rename() -> Observer:
    def kill(operation: str, path: str) -> None:
        if operation == "rename" and "/disks/" in path:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
