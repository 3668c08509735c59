from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator

import msgspec
import pytest
from msgspec.structs import replace

from blixard.errors import (
    InvalidTicket,
    PeerMisbehaved,
    PeerRefused,
    PeerUnreachable,
    TransferError,
    UnsupportedVersion,
)
from blixard.limits import KIB, MIB
from blixard.model.structs import JsonObject
from blixard.peer import protocol
from blixard.peer.channel import Link
from blixard.peer.client import Remote
from blixard.peer.loopback import LoopbackLink
from blixard.peer.meter import Statistics
from blixard.peer.protocol import head
from blixard.peer.secret import Secret
from support.link_conformance import SOON, Started, no_thread_left
from support.peers import CLIENT, OTHER, QUICK, SERVER, MemoryShelf, World, collect, opened, welcomed, world


@pytest.fixture
def here() -> Iterator[World]:
    with no_thread_left(), world() as made:
        yield made


def read(remote: Remote) -> bytes:
    with remote.document() as document:
        return document.read()


def test_a_fetch_knows_what_it_fetches(here: World) -> None:
    here.serve()
    remote = here.fetch()

    assert (remote.document_digest, remote.document_size) == (here.shelf.document, here.shelf.document_size)
    assert read(remote) == read(remote) == here.shelf.document_bytes
    assert remote.statistics().received_bytes == 2 * here.shelf.document_size


def test_statistics_count_bytes_and_links(here: World) -> None:
    here.serve()
    remote = here.fetch()
    collect(remote, here.shelf.wanted)

    read = remote.statistics()
    assert read.received_bytes == read.by_kind["loopback"] == sum(map(len, here.shelf.frames.values()))
    assert (read.providers, read.links, read.reconnects) == (1, 1, 0)
    assert read.rate > 0


def test_one_receiver_fetches_from_two_senders(here: World) -> None:
    here.serve()
    here.serve(OTHER, shelf=MemoryShelf())
    remote = here.fetch(here.ticket(), here.ticket(OTHER))

    assert collect(remote, here.shelf.wanted) == here.shelf.records
    remote.done()
    assert set(here.notes.joins) == {CLIENT}


def test_a_sender_that_does_not_answer_does_not_hold_up_the_other(here: World) -> None:
    here.serve(OTHER)
    remote = here.fetch(here.ticket(SERVER), here.ticket(OTHER))

    assert collect(remote, here.shelf.wanted) == here.shelf.records


def test_several_connections_to_one_sender_share_the_work(here: World) -> None:
    here.serve()
    remote = here.fetch(options=replace(QUICK, connections=3))
    assert collect(remote, here.shelf.wanted) == here.shelf.records
    wait_until(remote, lambda seen: seen.links == 3)


def test_a_lost_connection_is_made_again_and_nothing_is_fetched_twice(here: World) -> None:
    shelf = MemoryShelf(count=60)
    here.serve(shelf=shelf)
    endpoint = here.endpoint(CLIENT)
    remote = here.fetch(here.ticket(document=shelf.document), endpoint=endpoint)
    assert collect(remote, shelf.wanted[:30]) == shelf.records[:30]
    for link in list(endpoint._links):
        link.cut()

    assert collect(remote, shelf.wanted[30:]) == shelf.records[30:]
    assert remote.statistics().reconnects == 1
    assert shelf.asked == 60


def test_connections_that_are_cut_again_and_again_lose_no_record(here: World) -> None:
    shelf = MemoryShelf(count=120, size=40 * KIB)
    here.serve(shelf=shelf)
    endpoint = here.endpoint(CLIENT)
    # little under way, so that there is something to lose at each cut
    options = replace(QUICK, timeout=30, bytes_in_flight=200 * KIB)
    remote = here.fetch(here.ticket(document=shelf.document), endpoint=endpoint, options=options)
    for digest, length in shelf.wanted:
        remote.request(digest, length)
    got = 0
    for number, (digest, _) in enumerate(shelf.wanted):
        if number % 10 == 5:
            for link in list(endpoint._links):
                link.cut()
        got += len(remote.wait(digest, 30))

    assert got == sum(map(len, shelf.frames.values()))
    assert remote.statistics().reconnects >= 1


def test_a_document_goes_on_where_the_connection_was_lost(here: World) -> None:
    shelf = MemoryShelf(document=bytes(range(256)) * 16 * KIB)
    here.serve(shelf=shelf)
    endpoint = here.endpoint(CLIENT)
    remote = here.fetch(here.ticket(document=shelf.document), endpoint=endpoint)
    got = b""
    with remote.document() as document:
        while part := document.read(256 * KIB):
            got += part
            if len(got) == MIB:
                for link in list(endpoint._links):
                    link.cut()

    assert got == shelf.document_bytes
    assert remote.statistics().received_bytes < len(got) + MIB


def test_a_sender_that_comes_back_with_another_document_size_is_a_liar(here: World) -> None:
    sizes = iter([1000, 2000])

    def act(link: LoopbackLink) -> None:
        welcomed(link, here.shelf, size=next(sizes))
        channel = link.accept(10)
        channel.receive(10)
        channel.send(head(protocol.Part()), bytes(100))
        channel.finish()
        link.close()

    here.play(act)
    with pytest.raises(PeerMisbehaved, match="another size"):
        read(here.fetch())


def test_a_share_that_restarts_within_the_time_is_found_again(here: World) -> None:
    first = here.serve()
    endpoint = here.endpoint(CLIENT)
    remote = here.fetch(endpoint=endpoint)
    collect(remote, here.shelf.wanted[:5])
    for session in list(first._sessions):
        session.close()
    first._listeners[0].close()
    here.serve()

    assert collect(remote, here.shelf.wanted[5:]) == here.shelf.records[5:]


def test_a_sender_that_is_gone_for_good_is_unreachable_after_the_time(here: World) -> None:
    server = here.serve()
    remote = here.fetch(options=replace(QUICK, timeout=0.5))
    for session in list(server._sessions):
        session.close()
    server._listeners[0].close()
    remote.request(*here.shelf.wanted[0])

    with pytest.raises(PeerUnreachable):
        remote.wait(here.shelf.wanted[0][0], SOON)


def test_nobody_there_is_unreachable_after_the_time(here: World) -> None:
    with pytest.raises(PeerUnreachable):
        here.fetch(options=replace(QUICK, timeout=0.2))


def test_a_liar_is_given_up_nothing_of_it_kept_and_the_others_go_on(here: World) -> None:
    liar, honest = MemoryShelf(), MemoryShelf()
    liar.wrong = {digest: bytes(50) for digest in liar.frames}
    here.serve(shelf=liar)
    remote = here.fetch(here.ticket(), here.ticket(OTHER), options=replace(QUICK, timeout=30))
    first, length = here.shelf.wanted[0]
    remote.request(first, length)
    assert bytes(remote.wait(first, SOON)) == bytes(50)
    here.serve(OTHER, shelf=honest)
    remote.reject(first, "it does not match its digest")

    assert len(remote.wait(first, 30)) == len(here.shelf.frames[first])
    assert collect(remote, here.shelf.wanted[1:]) == here.shelf.records[1:]
    asked = liar.asked
    assert asked < 3
    assert remote.statistics().providers == 1


def test_the_last_sender_that_lies_ends_the_fetch_with_its_lie(here: World) -> None:
    here.shelf.wrong = {digest: bytes(50) for digest in here.shelf.frames}
    here.serve()

    with pytest.raises(PeerMisbehaved, match="wrong record"):
        collect(here.fetch(), here.shelf.wanted)


def test_a_rejected_document_is_read_from_the_next_sender_until_none_is_left(here: World) -> None:
    here.serve()
    here.serve(OTHER)
    remote = here.fetch(here.ticket(), here.ticket(OTHER))
    wait_until(remote, lambda seen: seen.providers == 2)
    read(remote)
    remote.reject_document(PeerMisbehaved("it has another digest"))
    assert read(remote) == here.shelf.document_bytes

    with pytest.raises(PeerMisbehaved, match="another digest"):
        remote.reject_document(PeerMisbehaved("it has another digest"))


def test_of_a_lie_and_a_document_that_cannot_be_read_here_the_lie_is_told(here: World) -> None:
    here.serve()
    here.serve(OTHER)
    remote = here.fetch(here.ticket(), here.ticket(OTHER))
    wait_until(remote, lambda seen: seen.providers == 2)
    read(remote)
    remote.reject_document(PeerMisbehaved("it has another digest"))
    read(remote)

    with pytest.raises(PeerMisbehaved, match="another digest"):
        remote.reject_document(UnsupportedVersion("unsupported export format version `9.0`"))
    assert remote.warnings == (
        f"a sender was given up: `{SERVER[:16]}`: it has another digest",
        f"a sender was given up: `{OTHER[:16]}`: unsupported export format version `9.0`",
    )


def test_tickets_of_different_documents_are_not_fetched_together(here: World) -> None:
    here.serve()
    with pytest.raises(InvalidTicket, match="different exports"):
        here.fetch(here.ticket(), here.ticket(OTHER, document="00" * 32))


def test_no_tickets_and_too_many_are_refused(here: World) -> None:
    for tickets in ([], [here.ticket()] * 17):
        with pytest.raises(InvalidTicket):
            Remote.connect(tickets, here.endpoint(CLIENT))


@pytest.mark.parametrize("length", [0, -1, 1 << 30])
def test_a_record_of_an_impossible_length_is_not_requested(here: World, length: int) -> None:
    here.serve()
    with pytest.raises(ValueError, match="record"):
        here.fetch().request(bytes(32), length)


def test_closing_wakes_whoever_waits_and_leaves_no_thread(here: World) -> None:
    before = set(threading.enumerate())
    here.play(lambda link: silent_after_welcome(link, here.shelf))
    remote = here.fetch(options=replace(QUICK, timeout=60, reply_seconds=60, grace_seconds=60))
    remote.request(*here.shelf.wanted[0])
    waiting = Started(lambda: remote.wait(here.shelf.wanted[0][0]))
    reading = Started(lambda: read(remote))
    assert not waiting.is_done_within(0.1)
    remote.close()
    remote.close()

    for call in (waiting, reading):
        with pytest.raises(TransferError):
            call.result()
    with pytest.raises(TransferError):
        remote.document()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("fetch")]


def test_closing_while_it_connects_is_prompt(here: World) -> None:
    here.play(lambda link: void(link.accept(30)))
    endpoint = here.endpoint(CLIENT)
    connecting = Started(lambda: here.fetch(endpoint=endpoint, options=replace(QUICK, timeout=60, connect_seconds=60)))
    assert not connecting.is_done_within(0.2)
    endpoint.close()

    with pytest.raises(TransferError):
        connecting.result()


def test_the_secret_shows_nowhere(here: World, caplog: pytest.LogCaptureFixture) -> None:
    canary = Secret(b"canary in a mine")
    caplog.set_level(logging.DEBUG)
    server = here.serve()
    ticket = here.ticket(secret=canary)
    told = [repr(ticket), str(ticket.public()), repr(server), repr(server._admission.terms)]
    with pytest.raises(PeerRefused) as caught:
        here.fetch(ticket)
    told += [*traceback.format_exception(caught.value), repr(caught.value), str(caught.value.hint)]
    told += [repr(here.notes.__dict__), caplog.text]
    told += [
        msgspec.json.encode(server.receivers()).decode(),
        " ".join(thread.name for thread in threading.enumerate()),
    ]

    shown = "\n".join(told)
    for form in (b"canary in a mine", b"sixteen bytes!!!"):
        assert form.decode() not in shown
        assert form.hex() not in shown
        assert repr(form)[2:-1] not in shown
    assert ticket.encode() not in shown


class LoopbackLane:
    """A lane over another loopback link, which the client dials when both have begun."""

    kind = "tcp"

    def __init__(self, dial: Callable[[], LoopbackLink] | None) -> None:
        self._dial = dial
        self.link: LoopbackLink | None = None
        self.began = threading.Event()

    def offer(self) -> JsonObject:
        return {"token": "00"}

    def begin(self, theirs: JsonObject, stands: Callable[[Link], None]) -> None:
        assert theirs == {"token": "00"}
        self.stands = stands
        self.began.set()
        if self._dial is not None:
            self.link = self._dial()
            stands(self.link)

    def close(self) -> None:
        if self.link is not None:
            self.link.close()


class LaneWorld:
    """A share whose sessions have lanes."""

    def __init__(self, here: World) -> None:
        self.servers: list[LoopbackLane] = []
        self.clients: list[LoopbackLane] = []
        self._here = here
        self._listener = here.endpoint("1a" * 32).listen()
        self._caller = here.endpoint("1b" * 32)

    def of_server(self, _link: Link) -> LoopbackLane:
        self.servers.append(LoopbackLane(None))
        return self.servers[-1]

    def of_client(self, _link: Link) -> LoopbackLane:
        self.clients.append(LoopbackLane(self._connect))
        return self.clients[-1]

    def of_client_later(self, _link: Link) -> LoopbackLane:
        """One that stands after `connect`."""
        self.clients.append(LoopbackLane(None))
        return self.clients[-1]

    def connect(self) -> None:
        """What a lane of a client that was to stand later waits for."""
        lane = self.clients[-1]
        assert lane.began.wait(SOON)
        lane.link = self._connect()
        lane.stands(lane.link)

    def _connect(self) -> LoopbackLink:
        ours = self._caller.connect("1a" * 32, timeout=SOON)
        theirs = self._listener.accept(SOON)
        assert theirs is not None
        ours.kind = theirs.kind = "tcp"
        lane = self.servers[-1]
        assert lane.began.wait(SOON)
        lane.link = theirs
        lane.stands(theirs)
        return ours


def test_a_lane_takes_over_when_it_stands(here: World) -> None:
    lanes = LaneWorld(here)
    here.serve(lanes=lanes.of_server)
    remote = here.fetch(lanes=lanes.of_client)

    assert collect(remote, here.shelf.wanted) == here.shelf.records
    assert remote.statistics().by_kind.keys() == {"tcp"}
    assert remote.statistics().links == 2
    assert {kind for _, kind in here.notes.sent} == {"tcp"}


class Slow(MemoryShelf):
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
    shelf = Slow()
    here.stack.callback(shelf.go.set)
    here.serve(shelf=shelf, lanes=lanes.of_server)
    options = replace(QUICK, hand_over_seconds=0.05, reply_seconds=SOON)
    remote = here.fetch(options=options, lanes=lanes.of_client_later)
    digest, length = shelf.wanted[0]
    remote.request(digest, length)
    assert shelf.stuck.wait(SOON)
    lanes.connect()

    assert opened(remote, digest, length) == shelf.records[0]
    assert remote.statistics().by_kind.keys() == {"tcp"}
    shelf.go.set()
    link = lanes.clients[0].link
    assert link is not None
    link.cut()
    assert collect(remote, shelf.wanted[1:]) == shelf.records[1:]
    assert (remote.statistics().links, remote.statistics().reconnects) == (1, 0)


def test_a_lane_that_breaks_is_no_failure(here: World) -> None:
    lanes = LaneWorld(here)
    here.serve(lanes=lanes.of_server)
    remote = here.fetch(lanes=lanes.of_client)
    assert collect(remote, here.shelf.wanted[:10]) == here.shelf.records[:10]
    link = lanes.clients[0].link
    assert link is not None
    link.cut()

    assert collect(remote, here.shelf.wanted[10:]) == here.shelf.records[10:]
    assert remote.statistics().by_kind.keys() == {"tcp", "loopback"}
    assert (remote.statistics().links, remote.statistics().reconnects) == (1, 0)


class Gated(MemoryShelf):
    """Gives nothing while `go` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def frame(self, digest: bytes) -> bytes | None:
        self.go.wait(SOON)
        return super().frame(digest)


def wait_until(remote: Remote, reached: Callable[[Statistics], bool]) -> None:
    with remote._fetch.changed:
        assert remote._fetch.changed.wait_for(lambda: reached(remote.statistics()), SOON), remote.statistics()


def test_a_lane_that_broke_after_it_brought_much_is_made_again(here: World) -> None:
    lanes = LaneWorld(here)
    shelf = Gated()
    here.stack.callback(shelf.go.set)
    here.serve(shelf=shelf, lanes=lanes.of_server)
    options = replace(QUICK, lane_worth_bytes=1, lane_again_seconds=0.05, reply_seconds=SOON)
    remote = here.fetch(options=options, lanes=lanes.of_client)
    assert collect(remote, shelf.wanted[:10]) == shelf.records[:10]
    wait_until(remote, lambda seen: seen.links == 2)
    shelf.go.clear()
    for digest, length in shelf.wanted[10:]:
        remote.request(digest, length)
    link = lanes.clients[0].link
    assert link is not None
    link.cut()
    wait_until(remote, lambda seen: (seen.reconnects, seen.links) == (1, 2))
    shelf.go.set()

    assert [opened(remote, *each) for each in shelf.wanted[10:]] == shelf.records[10:]
    assert len(lanes.clients) == 2


def waiting_for_a_lane() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.endswith("lane-again")]


def test_a_lane_is_not_made_again_when_all_is_there(here: World) -> None:
    lanes = LaneWorld(here)
    shelf = Gated()
    here.stack.callback(shelf.go.set)
    here.serve(shelf=shelf, lanes=lanes.of_server)
    options = replace(QUICK, lane_worth_bytes=1, lane_again_seconds=0.5, reply_seconds=SOON)
    remote = here.fetch(options=options, lanes=lanes.of_client)
    *most, (digest, length) = shelf.wanted
    assert collect(remote, most) == shelf.records[:-1]
    shelf.go.clear()
    remote.request(digest, length)
    link = lanes.clients[0].link
    assert link is not None
    link.cut()
    wait_until(remote, lambda _seen: bool(waiting_for_a_lane()))
    (later,) = waiting_for_a_lane()
    shelf.go.set()
    assert opened(remote, digest, length) == shelf.records[-1]
    later.join(SOON)

    assert not later.is_alive()
    assert (remote.statistics().links, remote.statistics().reconnects) == (1, 0)


def test_a_lane_that_never_stands_is_no_failure(here: World) -> None:
    here.serve(lanes=lambda _link: LoopbackLane(None))
    remote = here.fetch(lanes=lambda _link: LoopbackLane(None))

    assert collect(remote, here.shelf.wanted) == here.shelf.records


def test_a_peer_without_a_lane_is_served_without(here: World) -> None:
    here.serve(lanes=lambda _link: LoopbackLane(None))
    here.serve(OTHER)

    assert collect(here.fetch(), here.shelf.wanted) == here.shelf.records
    other = here.fetch(here.ticket(OTHER), client_id="33" * 32, lanes=lambda _link: LoopbackLane(None))
    assert collect(other, here.shelf.wanted) == here.shelf.records


def test_a_liar_on_the_lane_is_a_liar(here: World) -> None:
    here.shelf.wrong = dict.fromkeys(here.shelf.frames)
    lanes = LaneWorld(here)
    here.serve(lanes=lanes.of_server)
    remote = here.fetch(lanes=lanes.of_client)

    with pytest.raises(PeerMisbehaved, match="has not got"):
        collect(remote, here.shelf.wanted)


def silent_after_welcome(link: LoopbackLink, shelf: MemoryShelf) -> None:
    control = welcomed(link, shelf)
    while control.receive(30) is not None:
        control.send(head(protocol.Ping()))


def void(_value: object) -> None:
    pass
