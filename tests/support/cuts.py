"""A transfer between two sites that is cut at a place, and tried again: what is held against what came over the cable.

Three ways to cut it: the receiver is killed, the sender is killed, the cable is pulled. Real processes, real network.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from support.commands import Ran
from support.documents import noise
from support.processes import blixard, environment, finish, start, until
from support.shares import Share, running, sharing, take
from support.sites import Site, two_sites
from support.world import Picture, World, fast_folder, picture

MIB = 1 << 20
PIECE = 8 * MIB
TIMEOUT = 2
_WATCHED_RATE = "60MiB"
"""Of a first try: a place can be met while others run on the same cores."""


class Cut(StrEnum):
    """How it is cut."""

    RECEIVER = "receiver"
    SENDER = "sender"
    CABLE = "cable"


class Met(Struct, frozen=True, kw_only=True):
    """What came of both tries. Bytes of content unless `wire` is said: those are the cable's own count."""

    before: dict[str, Picture]
    cut: dict[str, Picture]
    after: dict[str, Picture]
    code: int
    """The first try ended with it; negative: by a signal."""
    seconds: float
    """From the cut to the end of the first try."""
    wire_at_cut: int
    held: int
    missing: int
    wire_again: int
    again: Ran


class Original(Struct, frozen=True):
    """A cluster `web` with one disk, and its export."""

    world: World
    file: Path
    size: int
    lengths: tuple[int, ...]
    """Of the records, in order."""


@contextmanager
def an_original(size: int) -> Iterator[Original]:
    """One of so many bytes that nothing compresses."""
    with fast_folder() as folder:
        world = an_empty_world(folder)
        world.images.mkdir()
        disk = world.images / "disk.raw"
        with disk.open("wb") as content:
            for at in range(0, size, PIECE):
                content.write(noise(min(PIECE, size - at), at))
        world.must("cluster", "init", "web")
        world.must("vm", "create", "app", "--disk", f"{disk},name=root")
        file = world.out / "web.json"
        world.must("cluster", "export", "-o", file, "--include-images", "--no-compress")
        disk.unlink()
        [image] = json.loads(file.read_text())["images"]
        yield Original(world, file, size, tuple(record["length"] for record in image["records"]))


def an_empty_world(folder: Path) -> World:
    """A data directory with nothing in it."""
    world = World(folder)
    for each in (world.data, world.out):
        each.mkdir(parents=True)
    return world


def cut_and_try_again(original: Original, cut: Cut, percent: int) -> Met:
    """Cut the transfer when `percent` of the content's bytes have come over the cable; try again with what is there."""
    with two_sites() as (near, far), fast_folder() as folder:
        sender, there = an_empty_world(folder / "sender"), an_empty_world(folder / "there")
        for command in (("cluster", "init", "web"), ("vm", "create", "old")):
            # several of these run at once: a process of its own, not a fork among threads that hold SQLite's locks
            made = blixard(there, *command)
            assert made.code == 0, made
        before = picture(there)
        with sharing(sender, original.file, site=near) as share:
            at, code, seconds = _first_try(there, share, cut, (near, far), original.size * percent // 100)
            held = sum(original.lengths[position] for position in staged_positions(there))
            after_cut = picture(there)
            if cut is not Cut.SENDER:
                wire, again = _second_try(there, share, far)
        if cut is Cut.SENDER:
            with sharing(sender, original.file, site=near) as share:
                wire, again = _second_try(there, share, far)
        return Met(
            before=before,
            cut=after_cut,
            after=picture(there),
            code=code,
            seconds=seconds,
            wire_at_cut=at,
            held=held,
            missing=original.size - held,
            wire_again=wire,
            again=again,
        )


def staged_positions(world: World) -> set[int]:
    """The records that the bitmap of an unfinished import speaks for."""
    found = set()
    for path in world.cluster().incoming.rglob("*"):
        content = path.read_bytes() if path.is_file() and path.stat().st_size < MIB else b""
        if content.startswith(b"blixard records 1\n"):
            found |= {at * 8 + bit for at, byte in enumerate(content[4096:]) for bit in range(8) if byte >> bit & 1}
    return found


def _first_try(there: World, share: Share, cut: Cut, sites: tuple[Site, Site], place: int) -> tuple[int, int, float]:
    """Bytes on the cable when it was cut, the exit code, and how long it took to end."""
    far = sites[1]
    more = ("--timeout", f"{TIMEOUT}s", "--limit-rate", _WATCHED_RATE)
    command = ["cluster", "import", "--p2p", "-c", "web", "-y", *more]
    process = start(there, *command, before=far.inside, env=environment(BLIXARD_TICKET=share.ticket))
    with running(process):
        until(lambda: far.received() > place, process)
        at, began = far.received(), time.monotonic()
        _do(cut, process, share, far)
        ran = finish(process)
        seconds = time.monotonic() - began
    if cut is Cut.CABLE:
        far.plug()
    return at, ran.code, seconds


def _do(cut: Cut, receiver: subprocess.Popen[bytes], share: Share, far: Site) -> None:
    if cut is Cut.RECEIVER:
        receiver.kill()
    elif cut is Cut.SENDER:
        share.process.kill()
    else:
        far.pull()


def _second_try(there: World, share: Share, far: Site) -> tuple[int, Ran]:
    """Bytes that came over the cable, and how it ended."""
    began = far.received()
    again = take(there, share.ticket, "-c", "web", "-y", "--json", before=far.inside)
    return far.received() - began, again
