from __future__ import annotations

import threading

import pytest

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.limits import KIB, MIB
from blixard.peer.fetch.options import Fetch
from blixard.peer.fetch.route import Route
from blixard.peer.fetch.wanted import Wanted
from blixard.peer.pace.meter import TransferMeter
from blixard.peer.pace.threads import Threads
from blixard.peer.wire.control import Control
from blixard.peer.wire.protocol import Done, Ping, head
from blixard.peer.wire.states import FROM_CLIENT, Incoming, State
from support.link_conformance import SOON, Started
from support.loopback import LoopbackLink
from support.peers import CLIENT, OTHER, QUICK, FakeSender, World


class Scene:
    """A connection with one route over a loopback link, with nothing to ask for and a clock of its own."""

    def __init__(self, here: World) -> None:
        self.now = 0.0
        self.losses: list[TransferError] = []
        self.lost = threading.Event()
        endpoint = here.endpoint(CLIENT)
        far = here.endpoint(OTHER)
        listener = far.listen()
        near = endpoint.connect(OTHER, timeout=SOON)
        taken = listener.accept(SOON)
        assert taken is not None
        self.far: LoopbackLink = taken
        self.threads = Threads("scene")
        self.wanted = Wanted(64 * MIB)
        stopped, changed = threading.Event(), threading.Condition()
        fetch = Fetch(endpoint, QUICK, self.wanted, TransferMeter(), self.threads, stopped, changed)
        self.sender = FakeSender()
        self.route = Route(
            fetch,
            near,
            self,
            clock=lambda: self.now,
        )
        here.stack.callback(self.threads.join)
        here.stack.callback(self.route.close)

    def may_ask(self, route: Route) -> bool:
        return route is self.route

    def route_lost(self, route: Route, problem: TransferError) -> None:
        assert route is self.route
        self.losses.append(problem)
        self.lost.set()

    def want(self, count: int) -> None:
        """So many records of 1 MiB."""
        for number in range(count):
            self.wanted.request(bytes([number]) * 32, MIB)

    def trial(self, rate: int) -> int:
        """Two seconds at so many bytes a second; the number of channels then."""
        self.now += 2
        self.route.progress(2 * rate, 2)
        return self.route.channels


def test_a_lane_gets_connections_while_each_brings_a_tenth_more(here: World) -> None:
    scene = Scene(here)
    scene.route.start(1, most=4)

    assert scene.trial(100) == 2
    assert scene.trial(150) == 3
    assert scene.trial(160) == 3
    assert scene.trial(900) == 3


def test_a_lane_gets_no_more_connections_than_said(here: World) -> None:
    scene = Scene(here)
    scene.route.start(1, most=3)

    assert [scene.trial(100 * 2**step) for step in range(4)] == [2, 3, 3, 3]


def test_the_link_of_a_session_keeps_the_channels_that_it_began_with(here: World) -> None:
    scene = Scene(here)
    scene.route.start(4, most=0)

    assert [scene.trial(100 * 2**step) for step in range(3)] == [4, 4, 4]


def test_of_a_slow_link_one_channel_asks_and_of_a_faster_one_more(here: World) -> None:
    scene = Scene(here)
    scene.route.start(4, most=0)
    scene.want(16)
    assert scene.far.accept(SOON).receive(SOON) is not None
    scene.route.progress(64 * KIB, 2)
    with pytest.raises(PeerUnreachable):
        scene.far.accept(0.1)

    scene.route.progress(MIB, 1.5)
    assert scene.far.accept(SOON).receive(SOON) is not None
    with pytest.raises(PeerUnreachable):
        scene.far.accept(0.1)
    scene.route.progress(MIB, 0.01)
    assert [scene.far.accept(SOON).receive(SOON) is not None for _ in range(2)] == [True, True]


def test_when_the_channel_that_asks_ends_the_next_one_asks(here: World) -> None:
    scene = Scene(here)
    scene.route.start(2, most=0)
    scene.want(16)
    first = scene.far.accept(SOON)
    assert first.receive(SOON) is not None
    scene.route.progress(64 * KIB, 2)
    first.close()

    assert scene.far.accept(SOON).receive(SOON) is not None
    assert scene.losses == []


def test_a_link_that_brings_nothing_is_lost_with_its_first_channel(here: World) -> None:
    scene = Scene(here)
    scene.route.start(4, most=0)
    scene.want(1)
    scene.far.accept(SOON).close()

    assert scene.lost.wait(SOON)
    assert [type(problem) for problem in scene.losses] == [PeerUnreachable]


def test_a_way_is_lost_once_however_many_channels_it_had(here: World) -> None:
    scene = Scene(here)
    scene.route.start(4, most=0)
    scene.want(8)
    assert scene.far.accept(SOON).receive(SOON) is not None
    scene.far.cut()
    assert scene.lost.wait(SOON)
    scene.route.close()
    scene.threads.join()

    assert [type(problem) for problem in scene.losses] == [PeerUnreachable]


def from_client() -> Incoming:
    return Incoming(FROM_CLIENT, State.STANDING)


def test_a_heartbeat_is_heard_and_does_not_count_as_a_message(here: World) -> None:
    scene = Scene(here)
    near = scene.route.link.open(SOON)
    far = scene.far.accept(SOON)
    sender = Control(near, from_client(), every=0.02)
    listener = Control(far, from_client(), every=0.02, lost=0.5)
    beating = Started(sender.beat)
    listening = Started(listener.listen)
    assert not listening.is_done_within(0.7)
    sender.say(Done())

    assert listening.result() == Done()
    sender.close()
    beating.result()
    with pytest.raises(PeerUnreachable):
        listener.listen()


def test_silence_is_a_lost_connection_and_a_finish_is_not(here: World) -> None:
    scene = Scene(here)
    near, far = scene.route.link.open(SOON), scene.far.accept(SOON)
    sender, listener = Control(near, from_client()), Control(far, from_client(), lost=SOON)
    finishing = Started(sender.finish)
    assert listener.listen() is None
    finishing.result()

    silent = Control(scene.route.link.open(SOON), from_client(), lost=0.05)
    with pytest.raises(PeerUnreachable):
        silent.listen()


def test_a_flood_of_pings_is_not_a_heartbeat(here: World) -> None:
    scene = Scene(here)
    near, far = scene.route.link.open(SOON), scene.far.accept(SOON)
    for _ in range(60):
        near.send(head(Ping()))

    with pytest.raises(PeerMisbehaved, match="floods"):
        Control(far, from_client()).listen()


def test_no_thread_is_started_after_the_end() -> None:
    threads = Threads("test")
    ran = threading.Event()
    assert threads.spawn("one", ran.set)
    threads.join()
    threads.join()

    assert ran.is_set()
    assert not threads.spawn("two", ran.clear)
    assert ran.is_set()
