"""Ctrl-C, SIGTERM, SIGUSR1 and a reader that goes away, while real exports and imports are at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import Ran
from support.documents import MIB
from support.processes import blixard, feed_half, finish, start, until
from support.world import AT, World, build, fast_folder, litter, picture

SIGNALS = [
    pytest.param(signal.SIGINT, 130, id="SIGINT"),
    pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
    pytest.param(signal.SIGHUP, 143, id="SIGHUP"),
]
EXPORT = ("cluster", "export", "--include-images", "-c", "web", "--exported-at", AT, "-o")
LONG = 60


@pytest.fixture(scope="module")
def template() -> Iterator[World]:
    """Large enough that a command can be met in the middle of its work."""
    with fast_folder() as folder:
        yield build(folder / "base", disk_bytes=6 * MIB)


def staged_bytes(world: World) -> int:
    """Bytes of staged disks, as stored."""
    return sum(path.stat().st_blocks for path in world.cluster().incoming.glob("*/*.raw"))


def has_open(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """True when the process has a nameless file of `folder` open: an export that is being written."""
    links = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except OSError:
            continue
    return any(link.startswith(f"{folder}/#") and link.endswith("(deleted)") for link in links)


def ended(ran: Ran, code: int) -> None:
    """It ended by the signal and said so in one line."""
    lines = [line for line in ran.err.splitlines() if not line.startswith(("importing into", "warning: "))]
    assert ran.code == code, ran
    assert len(lines) == 1, ran
    assert lines[0] in ("error: interrupted", "error: terminated by a signal"), ran


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_export_that_is_interrupted_leaves_the_old_file(number: int, code: int, world: World) -> None:
    target = world.out / "new.json.gz"
    old, before = target.read_bytes(), sorted(world.out.iterdir())
    process = start(world, *EXPORT, target)
    until(lambda: has_open(process, world.out), process)
    process.send_signal(number)

    ended(finish(process), code)
    assert target.read_bytes() == old
    assert sorted(world.out.iterdir()) == before
    assert litter(world) == []
    assert blixard(world, *EXPORT, target).code == 0


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_import_that_is_interrupted_goes_on_where_it_stopped(number: int, code: int, world: World) -> None:
    before = picture(world)
    command = ("cluster", "import", "-i", world.out / "new.json.gz", "-c", "web", "--threads", "1")
    process = start(world, *command)
    until(lambda: staged_bytes(world), process)
    process.send_signal(number)

    ended(finish(process), code)
    assert picture(world) == before
    assert litter(world, staged=True) == []
    again = blixard(world, *command, "--json")
    assert again.code == 0, again
    assert json.loads(again.out)["resumed"]
    assert litter(world) == []


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_import_from_a_pipe_that_is_interrupted_leaves_nothing(number: int, code: int, world: World) -> None:
    before = picture(world)
    process = start(world, "cluster", "import", "-i", "-", "-c", "web", stdin=subprocess.PIPE)
    feed_half(process, world.out / "new.json.gz")
    until(lambda: staged_bytes(world), process)
    process.send_signal(number)

    ended(finish(process), code)
    assert picture(world) == before
    assert litter(world) == []


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_import_into_a_new_cluster_that_is_interrupted_makes_none(number: int, code: int, world: World) -> None:
    before = picture(world)
    process = start(world, "cluster", "import", "-i", "-", "-c", "fresh", stdin=subprocess.PIPE)
    feed_half(process, world.out / "new.json.gz")
    until(lambda: list((world.data / "clusters").glob(".importing-fresh/disks/.incoming/*/*.raw")), process)
    process.send_signal(number)

    ended(finish(process), code)
    assert picture(world) == before
    assert litter(world) == []


def test_a_pipe_that_ends_early_leaves_nothing(world: World) -> None:
    before = picture(world)
    process = start(world, "cluster", "import", "-i", "-", "-c", "web", stdin=subprocess.PIPE)
    feed_half(process, world.out / "new.json.gz")
    ran = finish(process)

    assert ran.code == 10, ran
    assert "ends early" in ran.err
    assert picture(world) == before
    assert litter(world) == []


def test_sigusr1_prints_one_line_and_work_goes_on(world: World) -> None:
    fifo = world.out / "fifo"
    os.mkfifo(fifo)
    process = start(world, *EXPORT, fifo)
    assert process.stderr is not None
    with fifo.open("rb") as reading:
        first = reading.read(4096)
        process.send_signal(signal.SIGUSR1)
        line = process.stderr.readline().decode()
        rest = reading.read()
    ran = finish(process)

    assert " of " in line
    assert "/s" in line
    assert ran.code == 0, ran
    blixard(world, *EXPORT, world.out / "made.json.gz")
    assert first + rest == (world.out / "made.json.gz").read_bytes()


def test_a_reader_that_goes_away_ends_an_export_quietly(world: World) -> None:
    process = start(world, *EXPORT, "-", "--no-compress")
    assert process.stdout is not None
    head = process.stdout.read(100)
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()

    assert process.wait(LONG) == 141
    assert head.startswith(b"{")
    assert "Traceback" not in said
    assert "error" not in said
    assert litter(world) == []
    assert blixard(world, *EXPORT, world.out / "new.json.gz").code == 0


def test_an_export_to_stdout_is_the_file(world: World) -> None:
    with (world.root / "piped").open("wb") as out:
        ran = blixard(world, *EXPORT, "-", stdout=out)
    blixard(world, *EXPORT, world.out / "made.json.gz")

    assert ran.code == 0, ran
    assert (world.root / "piped").read_bytes() == (world.out / "made.json.gz").read_bytes()
