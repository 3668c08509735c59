"""Senders that lie to a fetch: each is given up, nothing of it is kept, and the others go on."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from blixard.errors import PeerMisbehaved, UnsupportedVersion
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from support.link_conformance import SOON
from support.loopback import LoopbackLink
from support.peers import OTHER, QUICK, SERVER, MemoryDocument, World, collect, read_document, welcomed


def test_a_sender_that_comes_back_with_another_document_size_is_a_liar(here: World) -> None:
    sizes = iter([1000, 2000])

    def act(link: LoopbackLink) -> None:
        welcomed(link, here.served, size=next(sizes))
        channel = link.accept(10)
        channel.receive(10)
        channel.send(head(protocol.Part()), bytes(100))
        channel.finish()
        link.close()

    here.play(act)
    with pytest.raises(PeerMisbehaved, match="another size"):
        read_document(here.fetch())


def test_a_liar_is_given_up_nothing_of_it_kept_and_the_others_go_on(here: World) -> None:
    liar, honest = MemoryDocument(), MemoryDocument()
    liar.wrong = {digest: bytes(50) for digest in liar.frames}
    here.serve(served=liar)
    remote = here.fetch(here.ticket(), here.ticket(OTHER), options=replace(QUICK, timeout=30))
    first, length = here.served.wanted[0]
    remote.request(first, length)
    assert bytes(remote.wait(first, SOON)) == bytes(50)
    here.serve(OTHER, served=honest)
    remote.reject(first, "it does not match its digest")

    assert len(remote.wait(first, 30)) == len(here.served.frames[first])
    assert collect(remote, here.served.wanted[1:]) == here.served.records[1:]
    asked = liar.asked
    assert asked < 3
    assert remote.statistics().senders == 1


def test_the_last_sender_that_lies_ends_the_fetch_with_its_lie(here: World) -> None:
    here.served.wrong = {digest: bytes(50) for digest in here.served.frames}
    here.serve()

    with pytest.raises(PeerMisbehaved, match="wrong record"):
        collect(here.fetch(), here.served.wanted)


def test_a_rejected_document_is_read_from_the_next_sender_until_none_is_left(here: World) -> None:
    here.serve()
    here.serve(OTHER)
    remote = here.fetch(here.ticket(), here.ticket(OTHER))
    here.wait_until(remote, lambda seen: seen.senders == 2)
    read_document(remote)
    remote.reject_document(PeerMisbehaved("it has another digest"))
    assert read_document(remote) == here.served.document_bytes

    with pytest.raises(PeerMisbehaved, match="another digest"):
        remote.reject_document(PeerMisbehaved("it has another digest"))


def test_of_a_lie_and_a_document_that_cannot_be_read_here_the_lie_is_told(here: World) -> None:
    here.serve()
    here.serve(OTHER)
    remote = here.fetch(here.ticket(), here.ticket(OTHER))
    here.wait_until(remote, lambda seen: seen.senders == 2)
    read_document(remote)
    remote.reject_document(PeerMisbehaved("it has another digest"))
    read_document(remote)

    with pytest.raises(PeerMisbehaved, match="another digest"):
        remote.reject_document(UnsupportedVersion("unsupported export format version `9.0`"))
    assert remote.warnings == (
        f"a sender was given up: `{SERVER[:16]}`: it has another digest",
        f"a sender was given up: `{OTHER[:16]}`: unsupported export format version `9.0`",
    )
