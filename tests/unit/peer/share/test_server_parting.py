"""Receivers that ask for nothing: they hold neither a place nor, when a share is over, the share."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from blixard.errors import PeerRefused, TransferError
from blixard.limits import KIB
from blixard.peer.share.admission import Terms
from blixard.peer.share.answers import Bounds
from blixard.peer.share.parting import TOO_MUCH, TOO_SLOW
from blixard.peer.share.server import Server
from blixard.peer.wire.protocol import GetDocument, GetRecords, head
from support.link_conformance import SOON, Started
from support.loopback import LoopbackLink
from support.loopback_channel import LoopbackChannel
from support.peers import CLIENT, NOW, OTHER, SECRET, MemoryDocument, World, collect, proven

HOUR = timedelta(hours=1)


class Clock:
    """Shows what a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


def serve_an_hour(here: World, clock: Clock, *, served: MemoryDocument | None = None, **bounds: Any) -> Server:
    terms = Terms(secret=SECRET, expires_at=NOW + HOUR)
    return here.serve(served=served, terms=terms, bounds=Bounds(**bounds), now=clock)


class Seconds:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.passed = 1000.0

    def __call__(self) -> float:
        return self.passed


def end_all(server: Server) -> None:
    """As a share does: again and again, until nobody is there."""
    while any(receiver.sessions for receiver in server.receivers()):
        server.end_overdue()
        server.wait(0.02)


def test_before_the_share_is_over_nobody_is_sent_away(here: World) -> None:
    server = serve_an_hour(here, Clock())
    remote = here.fetch()
    server.end_overdue()

    assert collect(remote, here.served.wanted) == here.served.records


def test_who_asked_for_nothing_is_sent_away_when_time_is_up(here: World) -> None:
    clock = Clock()
    server = serve_an_hour(here, clock)
    remote = here.fetch()
    clock.time += HOUR

    Started(lambda: end_all(server)).result()
    with pytest.raises(PeerRefused, match="ended the share"):
        collect(remote, here.served.wanted)
    (receiver,) = server.receivers()
    assert receiver.problem == "the share is over"


def test_who_does_not_leave_when_told_is_cut_off(here: World) -> None:
    clock = Clock()
    server = serve_an_hour(here, clock)
    link = here.call()
    control = proven(link)
    assert control.receive(SOON) is not None
    clock.time += HOUR

    Started(lambda: end_all(server)).result()
    with pytest.raises(TransferError):
        link.open(SOON).receive(SOON)


def test_who_is_being_answered_when_time_is_up_may_finish(here: World) -> None:
    class Held(MemoryDocument):
        asked_for = threading.Event()
        given = threading.Event()

        def frame(self, digest: bytes) -> bytes | None:
            self.asked_for.set()
            assert self.given.wait(SOON)
            return super().frame(digest)

    clock, served = Clock(), Held()
    server = serve_an_hour(here, clock, served=served)
    remote = here.fetch()
    fetched = Started(lambda: collect(remote, served.wanted))
    assert served.asked_for.wait(SOON)
    clock.time += HOUR
    server.end_overdue()
    served.given.set()

    assert fetched.result() == served.records
    server.end_overdue()  # it writes what it has got, then asks for more
    assert collect(remote, served.wanted[:1]) == served.records[:1]


def test_who_was_served_and_asks_for_no_more_is_sent_away_in_the_end(here: World) -> None:
    clock = Clock()
    server = serve_an_hour(here, clock, parting_idle_seconds=0)
    remote = here.fetch()
    collect(remote, here.served.wanted[:1])
    clock.time += HOUR

    Started(lambda: end_all(server)).result()


def test_a_session_without_requests_does_not_send_away_the_one_beside_it(here: World) -> None:
    clock = Clock()
    server = serve_an_hour(here, clock)
    remote = here.fetch()
    control = proven(here.call(CLIENT))
    assert control.receive(SOON) is not None
    collect(remote, here.served.wanted[:1])
    clock.time += HOUR
    server.end_overdue()

    assert collect(remote, here.served.wanted) == here.served.records


def test_a_share_whose_uses_are_complete_is_not_held_open(here: World) -> None:
    server = here.serve(terms=Terms(secret=SECRET, uses=1))
    remote = here.fetch()
    here.fetch(client_id=OTHER)
    collect(remote, here.served.wanted)
    remote.done()
    remote.close()
    assert not server.wait(0)

    Started(lambda: end_all(server)).result()
    assert server.wait(SOON)


def test_a_session_that_is_idle_for_long_gives_its_place_back(here: World) -> None:
    server = here.serve(bounds=Bounds(session_idle_seconds=0, receivers=1))
    link = here.call()
    control = proven(link)
    assert control.receive(SOON) is not None
    server.end_overdue()

    with pytest.raises(TransferError):
        link.open(SOON).receive(SOON)


def test_a_session_that_is_answered_is_not_idle(here: World) -> None:
    server = here.serve(served=MemoryDocument(document=bytes(4 << 20)), bounds=Bounds(session_idle_seconds=0))
    link = here.call()
    control = proven(link)
    assert control.receive(SOON) is not None
    channel = link.open(SOON)
    channel.send(head(GetDocument()))
    assert channel.receive(SOON) is not None
    server.end_overdue()

    assert channel.receive(SOON) is not None


def test_who_takes_everything_again_and_again_is_told_to_leave_and_does_not_come_back(here: World) -> None:
    served = MemoryDocument(document=bytes(64 * KIB))
    clock = Clock()
    server = serve_an_hour(here, clock, served=served, receiver_bytes_in_flight=0)
    link = here.call()
    assert proven(link).receive(SOON) is not None
    read_document(link.open(SOON))
    clock.time += HOUR
    server.end_overdue()
    taken = Started(lambda: read_without_end(link))
    Started(lambda: end_all(server)).result()

    taken.result()
    (receiver,) = server.receivers()
    assert receiver.problem == TOO_MUCH
    assert receiver.sent_bytes > 2 * served.share_bytes


def read_without_end(link: LoopbackLink) -> None:
    """Ask for the document again and again, until the link is ended."""
    with suppress(TransferError):
        channel = link.open(SOON)
        while True:
            read_document(channel)


def read_document(channel: LoopbackChannel) -> None:
    channel.send(head(GetDocument()))
    while (frame := channel.receive(SOON)) is not None and frame[0]["type"] != "end":
        pass


def test_who_takes_everything_once_when_time_is_up_is_not_told_to_leave(here: World) -> None:
    clock = Clock()
    server = serve_an_hour(here, clock)
    remote = here.fetch()
    with remote.document() as document:
        assert document.read() == here.served.document_bytes
    clock.time += HOUR
    server.end_overdue()
    for digest, length in here.served.wanted:
        assert collect(remote, [(digest, length)])
        server.end_overdue()
    remote.done()

    assert server.completed == 1


def test_who_asks_for_what_is_not_there_makes_no_progress_and_is_told_to_leave(here: World) -> None:
    clock, seconds = Clock(), Seconds()
    terms = Terms(secret=SECRET, expires_at=NOW + HOUR)
    server = here.serve(terms=terms, now=clock, monotonic=seconds)
    link = here.call()
    assert proven(link).receive(SOON) is not None
    read_document(link.open(SOON))
    asked = Started(lambda: ask_for_nothing(link))
    clock.time += HOUR
    server.end_overdue()
    seconds.passed += 3600
    Started(lambda: end_all(server)).result()

    asked.result()
    (receiver,) = server.receivers()
    assert receiver.problem == TOO_SLOW


def ask_for_nothing(link: LoopbackLink) -> None:
    """Ask for a record that the document has not got again and again, until the link is ended."""
    with suppress(TransferError):
        channel = link.open(SOON)
        while True:
            channel.send(head(GetRecords(("00" * 32,))))
            assert channel.receive(SOON) is not None


def test_who_was_told_to_leave_does_not_hold_a_used_up_share_open_by_coming_again(here: World) -> None:
    server = here.serve(terms=Terms(secret=SECRET, uses=1), bounds=Bounds(parting_idle_seconds=0))
    remote = here.fetch()
    collect(remote, here.served.wanted)
    remote.done()
    Started(lambda: end_all(server)).result()
    remote.close()

    with pytest.raises(PeerRefused, match="ended the share"):
        here.fetch()
