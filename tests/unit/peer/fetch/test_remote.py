"""A fetch that goes well, what it refuses to begin, and how it ends."""

from __future__ import annotations

import logging
import threading
import traceback

import msgspec
import pytest
from msgspec.structs import replace

from blixard.errors import InvalidTicket, PeerRefused, TransferError
from blixard.peer.fetch.remote import Remote
from blixard.peer.share.admission import Terms
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from blixard.peer.wire.secret import Secret
from support.link_conformance import Started
from support.loopback import LoopbackLink
from support.peers import (
    CLIENT,
    OTHER,
    QUICK,
    SECRET,
    SERVER,
    MemoryDocument,
    World,
    collect,
    read_document,
    welcomed,
)


def test_a_fetch_knows_what_it_fetches(here: World) -> None:
    here.serve()
    remote = here.fetch()

    assert (remote.document_digest, remote.document_size) == (here.served.document, here.served.document_size)
    assert read_document(remote) == read_document(remote) == here.served.document_bytes
    assert remote.statistics().received_bytes == 2 * here.served.document_size


def test_statistics_count_bytes_and_links(here: World) -> None:
    here.serve()
    remote = here.fetch()
    collect(remote, here.served.wanted)

    read = remote.statistics()
    assert read.received_bytes == read.by_kind["loopback"] == sum(map(len, here.served.frames.values()))
    assert (read.senders, read.links, read.reconnects) == (1, 1, 0)
    assert read.rate > 0


def test_one_receiver_fetches_from_two_senders(here: World) -> None:
    here.serve()
    here.serve(OTHER, served=MemoryDocument())
    remote = here.fetch(here.ticket(), here.ticket(OTHER))

    assert collect(remote, here.served.wanted) == here.served.records
    remote.done()
    assert set(here.notes.joins) == {CLIENT}


def test_a_sender_that_does_not_answer_does_not_hold_up_the_other(here: World) -> None:
    here.serve(OTHER)
    remote = here.fetch(here.ticket(SERVER), here.ticket(OTHER))

    assert collect(remote, here.served.wanted) == here.served.records


def test_several_connections_to_one_sender_share_the_work(here: World) -> None:
    here.serve()
    remote = here.fetch(options=replace(QUICK, connections=3))
    assert collect(remote, here.served.wanted) == here.served.records
    here.wait_until(remote, lambda seen: seen.links == 3)


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
    here.play(lambda link: silent_after_welcome(link, here.served))
    remote = here.fetch(options=replace(QUICK, timeout=60, reply_seconds=60, grace_seconds=60))
    remote.request(*here.served.wanted[0])
    waiting = Started(lambda: remote.wait(here.served.wanted[0][0]))
    reading = Started(lambda: read_document(remote))
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
    terms = Terms(secret=SECRET)
    server = here.serve(terms=terms)
    ticket = here.ticket(secret=canary)
    told = [repr(ticket), str(ticket.public()), repr(server), repr(terms)]
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


def silent_after_welcome(link: LoopbackLink, served: MemoryDocument) -> None:
    control = welcomed(link, served)
    while control.receive(30) is not None:
        control.send(head(protocol.Ping()))


def void(_value: object) -> None:
    pass
