"""A sender that brings little is asked over more connections, as long as each brings more."""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec.structs import replace

from blixard.errors import TransferError
from blixard.limits import KIB, MIB
from blixard.model.structs import JsonObject
from blixard.peer.fetch.options import Fetch, FetchOptions
from blixard.peer.fetch.sender import Sender
from blixard.peer.fetch.wanted import Wanted
from blixard.peer.pace.meter import TransferMeter
from blixard.peer.pace.patience import TooSlow
from blixard.peer.pace.threads import Threads
from blixard.peer.ports import Link
from blixard.peer.share.answers import Bounds
from support.link_conformance import SOON
from support.loopback import LoopbackEndpoint
from support.peers import CLIENT, OTHER, QUICK, MemoryDocument, World

PATIENT = replace(QUICK, timeout=60, reply_seconds=60, grace_seconds=60)


class StuckDocument(MemoryDocument):
    """Gives nothing before `go`: what came is what a test says."""

    def __init__(self) -> None:
        super().__init__(count=60, size=200 * KIB)
        self.go = threading.Event()

    def frame(self, digest: bytes) -> bytes | None:
        self.go.wait(SOON)
        return super().frame(digest)


class HeldLane:
    """Stands when the test says so."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.stands: Callable[[Link], None] | None = None

    def offer(self) -> JsonObject:
        return {"token": "00"}

    def begin(self, theirs: JsonObject, stands: Callable[[Link], None]) -> None:
        assert theirs
        self.stands = stands
        self.began.set()

    def close(self) -> None:
        self.stands = None


class Scene:
    """A sender from which all records are wanted, on a clock of the test's own."""

    def __init__(self, here: World, options: FetchOptions = PATIENT, *, bounds: Bounds | None = None) -> None:
        self.now = 0.0
        self.here = here
        self.served = StuckDocument()
        self.lanes: list[HeldLane] = []
        self.server = here.serve(served=self.served, bounds=bounds, lanes=lambda _link: HeldLane())
        self.endpoint: LoopbackEndpoint = here.endpoint(CLIENT)
        self.threads = Threads("scene")
        self.wanted = Wanted(64 * MIB)
        self.stopped, self.changed = threading.Event(), threading.Condition()
        self.fetch = Fetch(
            self.endpoint, options, self.wanted, TransferMeter(), self.threads, self.stopped, self.changed, self._lane
        )
        ticket = here.ticket(document=self.served.document)
        self.sender = Sender(self.fetch, ticket, clock=lambda: self.now)
        for digest, length in self.served.wanted:
            self.wanted.request(digest, length)
        here.stack.callback(self._end)
        self.sender.start()
        self.until_links(options.connections)

    def _lane(self, _link: Link) -> HeldLane:
        self.lanes.append(HeldLane())
        return self.lanes[-1]

    def _end(self) -> None:
        self.stopped.set()
        self.served.go.set()
        self.wanted.fail(TransferError("the test is over"))
        self.endpoint.close()
        self.fetch.tell()
        self.threads.join()

    @property
    def links(self) -> int:
        return sum(connection.links for connection in self.sender.connections)

    def until(self, reached: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(reached, SOON), (self.links, self.sender.slots, self.sender.problem)

    def until_links(self, count: int) -> None:
        self.until(lambda: self.links == count and self.sender.slots == count)

    def trial(self, rate: int) -> None:
        """That many bytes a second come, just long enough to judge by."""
        for _ in range(34):
            self.now += 0.1
            self.sender.came(rate // 10)


def test_a_slow_sender_gets_connections_up_to_four_while_each_brings_more(here: World) -> None:
    scene = Scene(here)
    for links, rate in [(2, MIB), (3, 2 * MIB), (4, 3 * MIB)]:
        scene.trial(rate)
        scene.until_links(links)
    for _ in range(3):
        scene.trial(9 * MIB)

    assert scene.sender.slots == 4
    assert scene.sender.reconnects == 0
    assert len(here.notes.joins) == 4


def test_a_connection_that_brings_nothing_is_given_back_and_what_it_was_asked_for_wanted_again(here: World) -> None:
    scene = Scene(here)
    scene.trial(MIB)
    scene.until_links(2)
    scene.trial(MIB)
    scene.until_links(1)
    scene.served.go.set()
    for digest, _ in scene.served.wanted:
        scene.wanted.wait(digest, SOON)

    assert scene.sender.problem is None
    assert scene.sender.reconnects == 0
    scene.server.stop()
    assert here.notes.ends[0].problem is None, "the sender was told that nothing was wrong"


def test_after_one_that_brought_nothing_the_fetch_rests(here: World) -> None:
    scene = Scene(here)
    scene.trial(MIB)
    scene.until_links(2)
    scene.trial(MIB)
    scene.until_links(1)
    scene.trial(MIB)

    assert scene.sender.slots == 1


def test_a_full_sender_ends_the_growth_and_not_the_fetch(here: World) -> None:
    scene = Scene(here, bounds=Bounds(connections=1, handshake_seconds=2))
    scene.trial(MIB)
    scene.until(lambda: scene.sender.grown)
    scene.until_links(1)
    scene.now += 10_000
    scene.trial(MIB)

    assert scene.sender.problem is None
    assert here.notes.refusals == ["busy"]


def test_a_fast_sender_gets_no_more(here: World) -> None:
    scene = Scene(here)
    scene.trial(64 * MIB)

    assert scene.sender.slots == 1


def test_a_number_of_connections_that_is_fixed_stays(here: World) -> None:
    scene = Scene(here, replace(PATIENT, connections=2, most_connections=2))
    scene.trial(MIB)

    assert scene.sender.slots == 2


def test_records_that_somebody_was_slow_to_want_say_nothing(here: World) -> None:
    scene = Scene(here)
    for _ in range(100):
        scene.wanted.lulls += 1
        scene.now += 1
        scene.sender.came(MIB)

    assert scene.sender.slots == 1


def test_while_a_lane_stands_there_is_no_growth_and_what_was_on_trial_stays(here: World) -> None:
    scene = Scene(here)
    scene.trial(MIB)
    scene.until_links(2)
    here.endpoint(OTHER).listen()
    lane = scene.lanes[0]
    assert lane.began.wait(SOON)
    assert lane.stands is not None
    lane.stands(scene.endpoint.connect(OTHER, timeout=SOON))
    scene.until(lambda: scene.sender.has_lane)
    for _ in range(3):
        scene.trial(MIB)

    assert scene.sender.slots == 2
    assert scene.links == 3


def test_a_connection_on_trial_that_is_lost_is_not_made_again(here: World) -> None:
    scene = Scene(here)
    scene.trial(MIB)
    scene.until_links(2)
    scene.endpoint.links[-1].cut()
    scene.until_links(1)

    assert scene.sender.problem is None
    assert scene.sender.reconnects == 0


def test_a_connection_on_trial_stays_when_the_other_is_lost(here: World) -> None:
    scene = Scene(here)
    scene.trial(MIB)
    scene.until_links(2)
    scene.endpoint.links[0].cut()
    scene.until(lambda: scene.sender.reconnects == 1)
    scene.until_links(2)
    scene.trial(1)

    assert scene.sender.slots == 2


def test_one_connection_of_several_that_is_too_slow_ends_alone_and_the_sender_with_the_last(here: World) -> None:
    scene = Scene(here, replace(PATIENT, connections=2))
    first, second = scene.sender.connections
    first.fail(TooSlow("the peer sends too slowly"))
    scene.until_links(1)
    given_up_before = scene.sender.problem is not None
    second.fail(TooSlow("the peer sends too slowly"))
    scene.until(lambda: isinstance(scene.sender.problem, TooSlow))

    assert not given_up_before
    assert scene.sender.reconnects == 0
