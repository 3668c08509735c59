"""Several connections to one sender: what befalls one of them, and what befalls the sender."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from blixard.errors import PeerRefused, PeerUnreachable
from blixard.limits import KIB
from blixard.peer.fetch.remote import Remote
from blixard.peer.share.admission import Terms
from blixard.peer.share.answers import Bounds
from support.link_conformance import SOON
from support.peers import CLIENT, NOW, QUICK, SECRET, SERVER, MemoryDocument, World, collect, opened

_TWO = replace(QUICK, timeout=0.3, connections=2, reply_seconds=SOON, grace_seconds=60)


class GatedDocument(MemoryDocument):
    """Gives the first records at once, and the others when it is told to."""

    def __init__(self) -> None:
        super().__init__(count=60, size=20 * KIB)
        self.gate = threading.Event()

    def frame(self, digest: bytes) -> bytes | None:
        if self.asked >= 20:
            assert self.gate.wait(SOON)
        return super().frame(digest)


def keeps(here: World, remote: Remote, slots: int) -> bool:
    """Waits until so many connections are kept."""
    (sender,) = remote.senders
    with here.changed:
        return here.changed.wait_for(lambda: sender.slots == slots, SOON)


def test_a_connection_that_a_full_sender_refuses_costs_nothing_while_another_delivers(here: World) -> None:
    served = GatedDocument()
    here.serve(served=served, bounds=Bounds(receivers=1, connections=1, channels=2))
    remote = here.fetch(here.ticket(document=served.document), options=_TWO)
    for digest, length in served.wanted:
        remote.request(digest, length)
    assert keeps(here, remote, 1)
    served.gate.set()

    assert [opened(remote, digest, length) for digest, length in served.wanted] == served.records
    assert set(here.notes.refusals) == {"busy"}
    remote.done()


def test_a_connection_that_comes_after_the_expiry_costs_nothing_while_another_stands(here: World) -> None:
    clock = [NOW]

    def now() -> datetime:
        return clock[0]

    here.serve(terms=Terms(secret=SECRET, expires_at=NOW + timedelta(hours=1)), now=now)
    ours = here.endpoint(CLIENT)
    remote = here.fetch(options=replace(_TWO, timeout=5), endpoint=ours)
    with here.changed:
        assert here.changed.wait_for(lambda: len(remote.senders[0].connections) == 2, SOON)
    clock[0] = NOW + timedelta(hours=2)
    ours.links[0].cut()
    assert keeps(here, remote, 1)

    assert collect(remote, here.served.wanted) == here.served.records
    assert here.notes.refusals == ["expired"]


def test_the_last_connection_takes_the_sender_with_it(here: World) -> None:
    here.serve()
    ours = here.endpoint(CLIENT)
    remote = here.fetch(options=_TWO, endpoint=ours)
    with here.changed:
        assert here.changed.wait_for(lambda: len(remote.senders[0].connections) == 2, SOON)
    here.serving[SERVER].stop_listening()
    for link in ours.links:
        link.cut()

    with pytest.raises(PeerUnreachable):
        collect(remote, here.served.wanted)


def test_a_refusal_that_holds_for_all_connections_drops_the_sender_at_once(here: World) -> None:
    here.serve(terms=Terms(secret=SECRET, allowed=frozenset()))

    with pytest.raises(PeerRefused, match="list"):
        here.fetch(options=replace(_TWO, timeout=60))
