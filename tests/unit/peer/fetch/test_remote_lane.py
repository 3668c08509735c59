"""A lane beside the connection of a fetch: it takes over, breaks, is made again, and is never a reason to fail."""

from __future__ import annotations

import threading

import pytest
from msgspec.structs import replace

from blixard.errors import PeerMisbehaved
from support.link_conformance import SOON
from support.loopback_lanes import LaneWorld, LoopbackLane
from support.peers import OTHER, QUICK, MemoryDocument, World, collect, opened


def test_a_lane_takes_over_when_it_stands(here: World) -> None:
    lanes = LaneWorld(here)
    here.serve(lanes=lanes.of_server)
    remote = here.fetch(lanes=lanes.of_client)

    assert collect(remote, here.served.wanted) == here.served.records
    assert remote.statistics().by_kind.keys() == {"tcp"}
    assert remote.statistics().links == 2
    assert {kind for _, kind in here.notes.sent} == {"tcp"}


class Slow(MemoryDocument):
    """Whoever asks first gets nothing before `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.stuck = threading.Event()

    def frame(self, digest: bytes) -> bytes | None:
        if not self.stuck.is_set():
            self.stuck.set()
            self.go.wait(SOON)
        return super().frame(digest)


def test_what_the_slow_link_of_the_session_does_not_bring_the_lane_is_asked_for(here: World) -> None:
    lanes = LaneWorld(here)
    served = Slow()
    here.stack.callback(served.go.set)
    here.serve(served=served, lanes=lanes.of_server)
    options = replace(QUICK, hand_over_seconds=0.05, reply_seconds=SOON)
    remote = here.fetch(options=options, lanes=lanes.of_client_later)
    digest, length = served.wanted[0]
    remote.request(digest, length)
    assert served.stuck.wait(SOON)
    lanes.connect()

    assert opened(remote, digest, length) == served.records[0]
    assert remote.statistics().by_kind.keys() == {"tcp"}
    served.go.set()
    link = lanes.clients[0].link
    assert link is not None
    link.cut()
    assert collect(remote, served.wanted[1:]) == served.records[1:]
    assert (remote.statistics().links, remote.statistics().reconnects) == (1, 0)


def test_a_lane_that_breaks_is_no_failure(here: World) -> None:
    lanes = LaneWorld(here)
    here.serve(lanes=lanes.of_server)
    remote = here.fetch(lanes=lanes.of_client)
    assert collect(remote, here.served.wanted[:10]) == here.served.records[:10]
    link = lanes.clients[0].link
    assert link is not None
    link.cut()

    assert collect(remote, here.served.wanted[10:]) == here.served.records[10:]
    assert remote.statistics().by_kind.keys() == {"tcp", "loopback"}
    assert (remote.statistics().links, remote.statistics().reconnects) == (1, 0)


class Gated(MemoryDocument):
    """Gives nothing while `go` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def frame(self, digest: bytes) -> bytes | None:
        self.go.wait(SOON)
        return super().frame(digest)


def test_a_lane_that_broke_after_it_brought_much_is_made_again(here: World) -> None:
    lanes = LaneWorld(here)
    served = Gated()
    here.stack.callback(served.go.set)
    here.serve(served=served, lanes=lanes.of_server)
    options = replace(QUICK, lane_worth_bytes=1, lane_again_seconds=0.05, reply_seconds=SOON)
    remote = here.fetch(options=options, lanes=lanes.of_client)
    assert collect(remote, served.wanted[:10]) == served.records[:10]
    here.wait_until(remote, lambda seen: seen.links == 2)
    served.go.clear()
    for digest, length in served.wanted[10:]:
        remote.request(digest, length)
    link = lanes.clients[0].link
    assert link is not None
    link.cut()
    here.wait_until(remote, lambda seen: (seen.reconnects, seen.links) == (1, 2))
    served.go.set()

    assert [opened(remote, *each) for each in served.wanted[10:]] == served.records[10:]
    assert len(lanes.clients) == 2


def waiting_for_a_lane() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.endswith("lane-again")]


def test_a_lane_is_not_made_again_when_all_is_there(here: World) -> None:
    lanes = LaneWorld(here)
    served = Gated()
    here.stack.callback(served.go.set)
    here.serve(served=served, lanes=lanes.of_server)
    options = replace(QUICK, lane_worth_bytes=1, lane_again_seconds=0.5, reply_seconds=SOON)
    remote = here.fetch(options=options, lanes=lanes.of_client)
    *most, (digest, length) = served.wanted
    assert collect(remote, most) == served.records[:-1]
    served.go.clear()
    remote.request(digest, length)
    link = lanes.clients[0].link
    assert link is not None
    link.cut()
    here.wait_until(remote, lambda _seen: bool(waiting_for_a_lane()))
    (later,) = waiting_for_a_lane()
    served.go.set()
    assert opened(remote, digest, length) == served.records[-1]
    later.join(SOON)

    assert not later.is_alive()
    assert (remote.statistics().links, remote.statistics().reconnects) == (1, 0)


def test_a_lane_that_never_stands_is_no_failure(here: World) -> None:
    here.serve(lanes=lambda _link: LoopbackLane(None))
    remote = here.fetch(lanes=lambda _link: LoopbackLane(None))

    assert collect(remote, here.served.wanted) == here.served.records


def test_a_peer_without_a_lane_is_served_without(here: World) -> None:
    here.serve(lanes=lambda _link: LoopbackLane(None))
    here.serve(OTHER)

    assert collect(here.fetch(), here.served.wanted) == here.served.records
    other = here.fetch(here.ticket(OTHER), client_id="33" * 32, lanes=lambda _link: LoopbackLane(None))
    assert collect(other, here.served.wanted) == here.served.records


def test_a_liar_on_the_lane_is_a_liar(here: World) -> None:
    here.served.wrong = dict.fromkeys(here.served.frames)
    lanes = LaneWorld(here)
    here.serve(lanes=lanes.of_server)
    remote = here.fetch(lanes=lanes.of_client)

    with pytest.raises(PeerMisbehaved, match="has not got"):
        collect(remote, here.served.wanted)
