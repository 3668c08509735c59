"""A share ends by itself when its time is up, whoever still holds a session, and at once while it begins."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from blixard.errors import Conflict
from blixard.home import Home
from blixard.ops.peers.share import ShareOptions, share
from blixard.peer.fetch.remote import Remote
from blixard.peer.wire.ticket import parse_ticket
from blixard.site.network import NetworkSettings
from blixard.site.who import SystemClock
from support.clusters import Watched
from support.cuts import MIB, Original, an_empty_world, an_original
from support.peers import Notes
from support.processes import blixard, finish, start, until
from support.shares import running, sharing
from support.world import World, fast_folder, litter

LOOPBACK = NetworkSettings(listen="127.0.0.1:0")


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with an_original(16 * MIB) as made:
        yield made


def test_a_receiver_that_asks_for_nothing_does_not_hold_a_share_open(original: Original) -> None:
    with (
        fast_folder() as folder,
        LOOPBACK.node(Home(folder), "test") as node,
        sharing(original.world, original.file, "--share-for", "4s", "--share-uses", "1") as share,
        Remote.connect([parse_ticket(share.ticket)], node.endpoint),
    ):
        report = share.end(3)

    assert report["completed"] == 0
    assert [receiver["problem"] for receiver in report["receivers"]] == ["the share is over"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_share_that_still_reads_its_file_ends_at_once(original: Original, number: signal.Signals, code: int) -> None:
    before = litter(original.world)
    with running(start(original.world, "cluster", "share", original.file, "--json")) as process:
        until(lambda: is_open(process.pid, original.file), process)
        process.send_signal(number)
        ran = finish(process)

    assert (ran.code, "ticket" in ran.out) == (code, False), ran
    assert litter(original.world) == before


def is_open(pid: int, file: Path) -> bool:
    """Does the process have it open?"""
    with suppress(FileNotFoundError):  # closed between the list and the look
        return any(each.readlink() == file for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_who_fetched_is_in_the_history_though_the_share_was_killed(original: Original) -> None:
    before = shares_noted(original.world)
    with (
        fast_folder() as folder,
        sharing(original.world, original.file) as share,
        LOOPBACK.node(Home(folder), "test") as node,
        Remote.connect([parse_ticket(share.ticket)], node.endpoint) as remote,
    ):
        with remote.document() as document:
            size = len(document.read())
        remote.done()
        until(lambda: shares_noted(original.world) != before, share.process)
        share.process.kill()

    entry, *earlier = shares_noted(original.world)
    assert earlier == before
    assert entry["receivers"] == [node.endpoint.id]
    assert entry["options"]["bytes"] == size


def shares_noted(world: World) -> list[dict[str, Any]]:
    """Entries of the history about receivers who got all, newest first."""
    text = world.must("cluster", "history", "-c", "web", "--json", "--verb", "cluster share").out
    entries = [each["entry"] for each in json.loads(text)["entries"]]
    return [entry for entry in entries if entry["exit_code"] == 0]


def test_a_cluster_for_the_history_that_is_not_there_is_an_error(original: Original) -> None:
    ran = blixard(original.world, "cluster", "share", original.file, "-c", "nosuch")

    assert (ran.code, ran.out) == (20, ""), ran
    assert "`nosuch`" in ran.err


def test_a_file_that_was_replaced_since_it_was_written_is_not_served(original: Original) -> None:
    told: list[object] = []
    with fast_folder() as folder, pytest.raises(Conflict, match="replaced"):
        share(
            Home(folder),
            ShareOptions(path=str(original.file), document="0" * 64),
            LOOPBACK,
            clock=SystemClock(),
            progress=Watched(),
            witness=Notes(),
            told=lambda *what: told.append(what),
            stopped=lambda: True,
        )

    assert not told


def test_a_fetch_whose_lane_cannot_listen_says_so_and_goes_on(original: Original) -> None:
    with (
        fast_folder() as folder,
        sharing(original.world, original.file) as running_share,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        there = an_empty_world(folder)
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        into = there.root / "got.json.gz"
        ran = blixard(there, "cluster", "fetch", "-i", running_share.ticket, "-o", into, "--p2p-listen", at)

    assert ran.code == 0, ran
    assert f"cannot listen at `{at}`" in ran.err
