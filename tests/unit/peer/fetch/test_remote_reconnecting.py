"""Connections of a fetch that are lost, made again, or never come back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from blixard.errors import PeerUnreachable
from blixard.limits import KIB, MIB
from support.link_conformance import SOON
from support.peers import CLIENT, QUICK, SERVER, MemoryDocument, World, collect


def test_a_lost_connection_is_made_again_and_nothing_is_fetched_twice(here: World) -> None:
    served = MemoryDocument(count=60)
    here.serve(served=served)
    endpoint = here.endpoint(CLIENT)
    remote = here.fetch(here.ticket(document=served.document), endpoint=endpoint)
    assert collect(remote, served.wanted[:30]) == served.records[:30]
    for link in endpoint.links:
        link.cut()

    assert collect(remote, served.wanted[30:]) == served.records[30:]
    assert remote.statistics().reconnects == 1
    assert served.asked == 60


def test_connections_that_are_cut_again_and_again_lose_no_record(here: World) -> None:
    served = MemoryDocument(count=120, size=40 * KIB)
    here.serve(served=served)
    endpoint = here.endpoint(CLIENT)
    # little under way, so that there is something to lose at each cut
    options = replace(QUICK, timeout=30, bytes_in_flight=200 * KIB)
    remote = here.fetch(here.ticket(document=served.document), endpoint=endpoint, options=options)
    for digest, length in served.wanted:
        remote.request(digest, length)
    got = 0
    for number, (digest, _) in enumerate(served.wanted):
        if number % 10 == 5:
            for link in endpoint.links:
                link.cut()
        got += len(remote.wait(digest, 30))

    assert got == sum(map(len, served.frames.values()))
    assert remote.statistics().reconnects >= 1


def test_a_document_goes_on_where_the_connection_was_lost(here: World) -> None:
    served = MemoryDocument(document=bytes(range(256)) * 16 * KIB)
    here.serve(served=served)
    endpoint = here.endpoint(CLIENT)
    remote = here.fetch(here.ticket(document=served.document), endpoint=endpoint)
    got = b""
    with remote.document() as document:
        while part := document.read(256 * KIB):
            got += part
            if len(got) == MIB:
                for link in endpoint.links:
                    link.cut()

    assert got == served.document_bytes
    assert remote.statistics().received_bytes < len(got) + MIB


def test_a_share_that_restarts_within_the_time_is_found_again(here: World) -> None:
    here.serve()
    endpoint = here.endpoint(CLIENT)
    remote = here.fetch(endpoint=endpoint)
    collect(remote, here.served.wanted[:5])
    here.hang_up(SERVER)
    here.serve()

    assert collect(remote, here.served.wanted[5:]) == here.served.records[5:]


def test_a_sender_that_is_gone_for_good_is_unreachable_after_the_time(here: World) -> None:
    here.serve()
    remote = here.fetch(options=replace(QUICK, timeout=0.5))
    here.hang_up(SERVER)
    remote.request(*here.served.wanted[0])

    with pytest.raises(PeerUnreachable):
        remote.wait(here.served.wanted[0][0], SOON)


def test_nobody_there_is_unreachable_after_the_time(here: World) -> None:
    with pytest.raises(PeerUnreachable):
        here.fetch(options=replace(QUICK, timeout=0.2))
