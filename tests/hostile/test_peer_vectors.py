from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from blixard.errors import PeerMisbehaved, TransferError
from blixard.limits import MIB
from blixard.peer.fetch.options import FetchOptions
from blixard.peer.fetch.remote import Remote
from blixard.peer.share.answers import Bounds
from blixard.peer.wire.frames import FrameReader
from hostile.peer_vectors import BYTES, CLIENTS, RECORD_SERVERS, SERVERS, BytesVector, ClientVector, ServerVector
from support.frames import fed
from support.link_conformance import no_thread_left
from support.peers import CLIENT, OTHER, QUICK, World, collect, world

HASTY = FetchOptions(
    timeout=1.2,
    first_pause=0.05,
    longest_pause=0.1,
    connect_seconds=0.4,
    reply_seconds=0.4,
    grace_seconds=1,
    ping_seconds=0.2,
    lost_seconds=0.8,
)


@pytest.fixture
def here() -> Iterator[World]:
    with no_thread_left(), world() as made:
        yield made


def test_there_are_enough_vectors_and_no_two_of_one_name() -> None:
    for vectors in (BYTES, CLIENTS, [*SERVERS, *RECORD_SERVERS]):
        assert len({vector.name for vector in vectors}) == len(vectors)
    assert len(BYTES) + len(CLIENTS) + len(SERVERS) + len(RECORD_SERVERS) >= 100


@pytest.mark.parametrize("vector", BYTES, ids=lambda vector: vector.name)
def test_bytes_that_are_no_frame_are_refused_before_they_take_memory(vector: BytesVector) -> None:
    reader = FrameReader()
    tracemalloc.start()
    try:
        with pytest.raises(PeerMisbehaved) as caught:
            list(fed(reader, vector.data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert type(caught.value) is PeerMisbehaved
    assert caught.value.message.isprintable()
    assert peak < 3 * MIB


@pytest.mark.parametrize("vector", CLIENTS, ids=lambda vector: vector.name)
def test_a_share_survives_a_client_and_serves_the_next(here: World, vector: ClientVector) -> None:
    server = here.serve(bounds=Bounds(handshake_seconds=0.3, ping_seconds=0.2, lost_seconds=0.8))
    link = here.call(OTHER)
    try:
        vector.act(link)
    except TransferError:
        pass
    finally:
        remote = here.fetch(options=replace(QUICK, ping_seconds=0.1))
        assert collect(remote, here.served.wanted) == here.served.records
        link.close()

    assert here.notes.refusals == ([vector.refusal] if vector.refusal else [])
    remote.done()
    assert server.completed == 1


@pytest.mark.parametrize("vector", SERVERS, ids=lambda vector: vector.name)
def test_a_fetch_meets_a_bad_sender_with_the_right_error_in_time(here: World, vector: ServerVector) -> None:
    here.play(lambda link: vector.act(link, here.served))

    ends_with(vector, lambda: read_document(here.fetch(options=HASTY)))


@pytest.mark.parametrize("vector", RECORD_SERVERS, ids=lambda vector: vector.name)
def test_a_fetch_of_records_meets_a_bad_sender_with_the_right_error_in_time(here: World, vector: ServerVector) -> None:
    here.play(lambda link: vector.act(link, here.served))

    ends_with(vector, lambda: collect(here.fetch(options=HASTY), here.served.wanted))


@pytest.mark.parametrize("vector", RECORD_SERVERS, ids=lambda vector: vector.name)
def test_a_bad_sender_does_not_stop_a_fetch_that_has_a_good_one_too(here: World, vector: ServerVector) -> None:
    here.play(lambda link: vector.act(link, here.served))
    here.serve(OTHER, bounds=Bounds(ping_seconds=0.1))

    remote = here.fetch(here.ticket(), here.ticket(OTHER), options=HASTY)

    assert collect(remote, here.served.wanted) == here.served.records


def test_two_hundred_connections_at_once_do_not_keep_an_honest_one_out(here: World) -> None:
    before = threading.active_count()
    server = here.serve(bounds=Bounds(strangers=8, links=12, handshake_seconds=5))
    flood = here.endpoint(OTHER)
    links = [flood.connect(here.ticket().peer_id, timeout=10) for _ in range(200)]

    began = time.monotonic()
    remote = here.fetch(options=QUICK)
    assert collect(remote, here.served.wanted) == here.served.records

    assert time.monotonic() - began < 5
    assert threading.active_count() - before < 60
    assert sum(not link.over for link in links) <= 12
    remote.done()
    assert server.completed == 1


def test_a_flood_that_goes_on_does_not_keep_an_honest_client_out(here: World) -> None:
    here.serve(bounds=Bounds(strangers=8, links=12, handshake_seconds=5))
    stop = threading.Event()
    flood = here.endpoint(OTHER)

    def connect() -> None:
        while not stop.is_set():
            try:
                flood.connect(here.ticket().peer_id, timeout=1).open(1)
            except TransferError:
                continue

    flooding = threading.Thread(target=connect, daemon=True)
    flooding.start()
    try:
        remote = here.fetch(client_id=CLIENT)
        assert collect(remote, here.served.wanted) == here.served.records
    finally:
        stop.set()
        flooding.join(10)


def ends_with(vector: ServerVector, fetch: object) -> None:
    assert callable(fetch)
    began = time.monotonic()
    with pytest.raises(vector.error) as caught:
        fetch()

    assert type(caught.value) in {vector.error, *vector.error.__subclasses__()}
    assert vector.says in caught.value.message
    assert f"{caught.value.message}{caught.value.hint or ''}".isprintable()
    assert time.monotonic() - began < 6


def read_document(remote: Remote) -> bytes:
    with remote.document() as document:
        return document.read()
