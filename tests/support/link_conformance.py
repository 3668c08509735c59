"""What every `Link` must do. A test class derives from `LinkConformance` and gives the fixture `pair`.

Nothing here knows what carries the frames: Iroh, the direct lane and the in-process loopback run the same lines. An
adapter without a property of its transport says so in a class attribute, with a reason beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Generic, Protocol, TypeVar, cast

import pytest

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.limits import KIB, MIB
from blixard.peer.ports import BODY_BYTES, HEAD_BYTES, Body, Channel, Endpoint, Frame, Link, Listener

T = TypeVar("T")

SOON = 10.0
"""Seconds within which things that need no waiting have happened, on a machine that is busy with other things."""


class LinkPair(Protocol):
    """The two ends of one link: `near` is the one that connected."""

    near: Link
    far: Link

    def cut(self) -> None:
        """Lose the link as a network does or, where that cannot be had quickly, as a process that dies does."""


class Started(Generic[T]):
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._problem: BaseException | None = None
        self._value: T | None = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._value = call()
        except BaseException as problem:  # noqa: BLE001 - shown to the test by `result`
            self._problem = problem

    def is_done_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self, seconds: float = SOON) -> T:
        assert self.is_done_within(seconds), "the call did not come back"
        if self._problem is not None:
            raise self._problem
        return cast("T", self._value)


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Every thread that began inside has ended soon after."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + SOON
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        for thread in left:
            if thread.ident is None:
                threading.Event().wait(0.001)  # another thread is just starting it
            else:
                thread.join(SOON)
    assert not left, f"threads are left: {sorted(thread.name for thread in left)}"


def received(channel: Channel, seconds: float = SOON) -> Frame:
    frame = channel.receive(seconds)
    assert frame is not None, "the peer has finished"
    return frame


def pattern(length: int, seed: int) -> bytes:
    """Bytes of which no two parts are alike enough to be mistaken for each other."""
    step = b"".join((seed * 65537 + n * 257).to_bytes(8, "big") for n in range(512))
    return (step * (length // len(step) + 1))[:length]


class LinkConformance:
    """The contract of `channel.Link` and `channel.Channel`, one rule a test."""

    many = 32
    """Channels at once."""
    far_opens = True
    """The end that took the link may open channels too."""
    tells_reason = True
    """A closed channel or link is noticed by the peer at once, not only after silence."""
    swallows = 64 * MIB
    """More bytes than the transport ever holds for one channel that nobody reads."""
    lost_within = SOON
    """Seconds in which both sides notice `cut`."""

    @pytest.fixture
    def channels(self, pair: LinkPair) -> tuple[Channel, Channel]:
        """One channel: the near end, the far end."""
        return opened(pair.near, pair.far)

    def test_each_end_knows_itself_and_the_other(self, pair: LinkPair) -> None:
        assert (pair.near.local_id, pair.near.remote_id) == (pair.far.remote_id, pair.far.local_id)
        assert len(bytes.fromhex(pair.near.local_id)) == len(bytes.fromhex(pair.near.remote_id)) == 32
        assert pair.near.local_id != pair.near.remote_id
        assert pair.near.kind == pair.far.kind != ""
        assert all(":" in address for address in pair.near.remote_addresses + pair.far.remote_addresses)

    def test_a_frame_goes_there_and_another_back(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        near.send({"type": "question", "n": 1}, b"body")
        question = received(far)
        far.send({"type": "answer", "n": [2, {"deep": None}]}, memoryview(b"other body")[6:])
        answer = received(near)

        assert (question[0], bytes(question[1])) == ({"type": "question", "n": 1}, b"body")
        assert (answer[0], bytes(answer[1])) == ({"type": "answer", "n": [2, {"deep": None}]}, b"body")

    def test_frames_arrive_in_order_each_whole(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        sizes = [(n * 7919) % 5000 for n in range(400)]

        def send() -> None:
            for n, size in enumerate(sizes):
                near.send({"n": n}, pattern(size, n))
            near.finish()

        sending = Started(send)
        for n, size in enumerate(sizes):
            head, body = received(far)
            assert (head, bytes(body)) == ({"n": n}, pattern(size, n))
        assert far.receive(SOON) is None
        sending.result()

    def test_the_longest_head_and_body_pass(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        head = {"text": "x" * (HEAD_BYTES - len('{"text":""}'))}
        body = pattern(BODY_BYTES, 3)
        sending = Started(lambda: near.send(head, body))

        got, content = received(far, 60)
        sending.result()

        assert got == head
        assert len(content) == BODY_BYTES
        assert content == body

    def test_a_head_alone_has_an_empty_body(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        near.send({})

        head, body = received(far)
        assert (head, bytes(body)) == ({}, b"")

    def test_many_channels_at_once_do_not_mix(self, pair: LinkPair) -> None:
        def ask(number: int) -> bool:
            channel = pair.near.open(SOON)
            body = pattern(256 * KIB + number, number)
            channel.send({"n": number}, body)
            head, echo = received(channel, 60)
            channel.finish()
            channel.close()
            return head == {"n": number} and echo == body

        def answer() -> None:
            channel = pair.far.accept(60)
            channel.send(*received(channel, 60))
            channel.finish()
            assert channel.receive(60) is None
            channel.close()

        with ThreadPoolExecutor(self.many) as requesters, ThreadPoolExecutor(self.many) as answerers:
            answers = [answerers.submit(answer) for _ in range(self.many)]
            assert all(requesters.map(ask, range(self.many)))
            for made in answers:
                made.result(60)

    def test_channels_can_be_opened_one_after_the_other_for_long(self, pair: LinkPair) -> None:
        for number in range(2 * self.many):
            near, far = opened(pair.near, pair.far)
            near.send({"n": number})
            finishing = Started(near.finish)
            assert received(far)[0] == {"n": number}
            assert far.receive(SOON) is None
            finishing.result()
            far.close()
            near.close()

    def test_the_end_that_took_the_link_opens_channels_too(self, pair: LinkPair) -> None:
        if not self.far_opens:
            pytest.skip("this transport has channels in one direction only")
        far, near = opened(pair.far, pair.near)
        far.send({"from": "far"})

        assert received(near)[0] == {"from": "far"}

    def test_both_directions_carry_at_the_same_time(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        body = pattern(4 * MIB, 5)

        def exchange(channel: Channel) -> int:
            sending = Started(lambda: send_all(channel, body, 4))
            got = sum(received(channel, 60)[1] == body for _ in range(4))
            sending.result(60)
            return got

        other = Started(lambda: exchange(far))

        assert exchange(near) == 4
        assert other.result(60) == 4

    def test_after_a_finish_the_other_direction_goes_on(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        near.send({"last": True})
        finishing = Started(near.finish)
        assert received(far)[0] == {"last": True}
        assert far.receive(SOON) is None
        assert far.receive(SOON) is None
        finishing.result()

        far.send({"late": 1}, b"still here")
        far_finishing = Started(far.finish)

        assert received(near)[0] == {"late": 1}
        assert near.receive(SOON) is None
        far_finishing.result()
        near.finish()

    def test_nothing_is_sent_after_a_finish(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        near.send({})
        finishing = Started(near.finish)
        received(far)
        assert far.receive(SOON) is None
        finishing.result()

        with pytest.raises(TransferError):
            near.send({"more": 1})

    def test_a_body_over_the_limit_is_refused_and_ends_the_channel(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        near.send({"n": 1}, b"12345")
        assert received(far)[0] == {"n": 1}
        near.send({"n": 2}, b"123456")

        with pytest.raises(PeerMisbehaved):
            far.receive(SOON, limit=5)
        with pytest.raises(TransferError):
            far.receive(SOON)

    def test_a_body_of_exactly_the_limit_is_taken(self, channels: tuple[Channel, Channel]) -> None:
        near, far = channels
        near.send({"n": 1}, b"12345")
        near.send({"n": 2})

        first, second = far.receive(SOON, limit=5), far.receive(SOON, limit=0)

        assert first is not None
        assert bytes(first[1]) == b"12345"
        assert second is not None
        assert second[0] == {"n": 2}

    def test_a_silent_peer_is_waited_for_as_long_as_said_and_not_longer(self, pair: LinkPair) -> None:
        near, far = opened(pair.near, pair.far)
        with pytest.raises(PeerUnreachable):
            far.receive(0.2)
        with pytest.raises(TransferError):
            far.receive(0.2)

        again, other = opened(pair.near, pair.far)
        again.send({"link": "stands"})
        assert received(other)[0] == {"link": "stands"}
        near.close()

    def test_closing_a_channel_wakes_our_own_receive(self, channels: tuple[Channel, Channel]) -> None:
        near, _far = channels
        receiving = Started(lambda: near.receive(None))
        assert not receiving.is_done_within(0.1)
        near.close()
        near.close()

        with pytest.raises(TransferError):
            receiving.result()
        with pytest.raises(TransferError):
            near.send({})

    def test_closing_a_channel_wakes_the_peer(self, channels: tuple[Channel, Channel]) -> None:
        if not self.tells_reason:
            pytest.skip("this transport notices a closed channel by silence only")
        near, far = channels
        receiving = Started(lambda: far.receive(None))
        assert not receiving.is_done_within(0.1)
        near.close()

        with pytest.raises(PeerUnreachable):
            receiving.result()

    def test_a_closed_channel_leaves_the_others_alone(self, pair: LinkPair) -> None:
        first, _ = opened(pair.near, pair.far)
        second, far = opened(pair.near, pair.far)
        first.close()
        second.send({"still": 1})

        assert received(far)[0] == {"still": 1}

    def test_a_sender_waits_for_a_peer_that_does_not_read_and_loses_nothing(
        self, channels: tuple[Channel, Channel]
    ) -> None:
        near, far = channels
        body = pattern(MIB, 7)
        count = self.swallows // MIB + 1
        sending = Started(lambda: send_all(near, body, count))

        assert not sending.is_done_within(1), f"{self.swallows} bytes went where nobody reads"

        for n in range(count):
            head, got = received(far, 60)
            assert head == {"n": n}
            assert got == body
        sending.result()

    def test_closing_a_channel_wakes_our_own_send(self, channels: tuple[Channel, Channel]) -> None:
        near, _far = channels
        body = bytes(MIB)
        sending = Started(lambda: send_all(near, body, self.swallows // MIB + 1))
        assert not sending.is_done_within(0.5)
        near.close()

        with pytest.raises(TransferError):
            sending.result()

    def test_accept_and_open_end_when_the_time_is_over_and_the_link_stands(self, pair: LinkPair) -> None:
        with pytest.raises(PeerUnreachable):
            pair.far.accept(0.1)

        near, far = opened(pair.near, pair.far)
        near.send({"link": "stands"})
        assert received(far)[0] == {"link": "stands"}

    def test_a_link_that_one_end_closes_wakes_both(self, pair: LinkPair) -> None:
        near, far = opened(pair.near, pair.far)
        blocked: list[Started[object]] = [
            Started(lambda: near.receive(None)),
            Started(lambda: far.receive(None)),
            Started(lambda: pair.near.accept(None)),
            Started(lambda: pair.far.accept(None)),
        ]
        assert not any(call.is_done_within(0.05) for call in blocked)
        pair.near.close("enough")
        pair.near.close()

        for call in blocked:
            with pytest.raises(TransferError):
                call.result()
        for link in (pair.near, pair.far):
            with pytest.raises(TransferError):
                open_and_send(link)

    def test_a_lost_link_is_an_unreachable_peer_for_whoever_waits(self, pair: LinkPair) -> None:
        near, far = opened(pair.near, pair.far)
        blocked: list[Started[object]] = [
            Started(lambda: near.receive(None)),
            Started(lambda: far.receive(None)),
            Started(lambda: pair.far.accept(None)),
        ]
        pair.cut()

        for call in blocked:
            with pytest.raises(PeerUnreachable):
                call.result(self.lost_within)

    def test_what_was_delivered_before_a_finish_is_read_though_the_link_closes(self, pair: LinkPair) -> None:
        near, far = opened(pair.near, pair.far)
        near.send({"n": 1}, pattern(64 * KIB, 1))
        finishing = Started(near.finish)
        head, body = received(far)
        assert far.receive(SOON) is None
        finishing.result()
        pair.near.close()

        assert (head, bytes(body)) == ({"n": 1}, pattern(64 * KIB, 1))


class EndpointPair(Protocol):
    """Two endpoints that can reach each other."""

    near: Endpoint
    far: Endpoint

    def unknown_id(self) -> str:
        """The id of an endpoint that is nowhere."""


class EndpointConformance:
    """The contract of `channel.Endpoint` and `channel.Listener`. The derived class gives the fixture `endpoints`."""

    def test_a_link_knows_whom_it_reaches(self, endpoints: EndpointPair) -> None:
        listener = endpoints.far.listen()
        near, far = connected(endpoints, listener)

        assert (near.local_id, near.remote_id) == (endpoints.near.id, endpoints.far.id)
        assert (far.local_id, far.remote_id) == (endpoints.far.id, endpoints.near.id)
        near.close()
        listener.close()

    def test_nobody_comes_and_accept_says_so(self, endpoints: EndpointPair) -> None:
        listener = endpoints.far.listen()

        assert listener.accept(0.1) is None
        listener.close()

    def test_a_closed_listener_wakes_whoever_waits_and_takes_nobody(self, endpoints: EndpointPair) -> None:
        listener = endpoints.far.listen()
        accepting = Started(lambda: listener.accept(None))
        assert not accepting.is_done_within(0.1)
        addresses = listener.addresses()
        listener.close()
        listener.close()

        assert accepting.result() is None
        assert listener.accept(0.1) is None
        with pytest.raises(TransferError):
            open_and_ask(endpoints.near.connect(endpoints.far.id, addresses, None, 3))

    def test_a_link_that_stands_outlives_its_listener(self, endpoints: EndpointPair) -> None:
        listener = endpoints.far.listen()
        near, far = connected(endpoints, listener)
        listener.close()
        ours, theirs = opened(near, far)
        ours.send({"still": 1})

        assert received(theirs)[0] == {"still": 1}
        near.close()

    def test_an_endpoint_that_is_nowhere_is_unreachable_within_the_time(self, endpoints: EndpointPair) -> None:
        listener = endpoints.far.listen()
        asking = Started(
            lambda: endpoints.near.connect(endpoints.unknown_id(), listener.addresses(), None, 1),
        )

        with pytest.raises(PeerUnreachable):
            asking.result()
        listener.close()

    def test_a_closed_endpoint_closes_its_links_and_connects_no_more(self, endpoints: EndpointPair) -> None:
        listener = endpoints.far.listen()
        near, far = connected(endpoints, listener)
        accepting = Started(lambda: far.accept(None))
        endpoints.near.close()
        endpoints.near.close()

        with pytest.raises(PeerUnreachable):
            accepting.result()
        with pytest.raises(TransferError):
            open_and_send(near)
        with pytest.raises(TransferError):
            endpoints.near.connect(endpoints.far.id, listener.addresses(), None, 1)
        listener.close()

    def test_several_links_between_the_same_two_do_not_mix(self, endpoints: EndpointPair) -> None:
        listener = endpoints.far.listen()
        with ExitStack() as stack:
            pairs = [connected(endpoints, listener) for _ in range(4)]
            for near, _ in pairs:
                stack.callback(near.close)
            for number, (near, far) in enumerate(pairs):
                ours, theirs = opened(near, far)
                ours.send({"n": number})
                assert received(theirs)[0] == {"n": number}
        listener.close()


def opened(opener: Link, taker: Link) -> tuple[Channel, Channel]:
    """Both ends of a new channel. Its first frame is a greeting: some transports show a channel only then."""
    ours = opener.open(SOON)
    ours.send({"hello": "channel"})
    theirs = taker.accept(SOON)
    assert received(theirs)[0] == {"hello": "channel"}
    return ours, theirs


def send_all(channel: Channel, body: Body, count: int) -> None:
    for number in range(count):
        channel.send({"n": number}, body)


def open_and_send(link: Link, body: Body = b"") -> None:
    """Some transports notice a dead link only when something is sent."""
    channel = link.open(SOON)
    channel.send({"hello": "channel"}, body)
    channel.finish()


def open_and_ask(link: Link) -> None:
    """Connecting to whoever does not accept any more may seem to work, until an answer is wanted."""
    channel = link.open(SOON)
    channel.send({"hello": "channel"})
    if channel.receive(SOON) is None:
        raise PeerUnreachable("the peer finished without a word")


def connected(endpoints: EndpointPair, listener: Listener) -> tuple[Link, Link]:
    """Both ends of a new link."""
    connecting = Started(lambda: endpoints.near.connect(endpoints.far.id, listener.addresses(), None, SOON))
    far = listener.accept(SOON)
    near = connecting.result()
    assert far is not None
    return near, far
