from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from blixard.errors import PeerRefused, PeerUnreachable, StorageError, TransferError
from blixard.limits import MIB
from blixard.peer.share.admission import Terms
from blixard.peer.share.answers import Bounds
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from support.link_conformance import SOON, Started
from support.loopback import LoopbackLink
from support.peers import CLIENT, NOW, OTHER, SECRET, SERVER, MemoryDocument, World, collect, proven


def test_a_receiver_gets_the_document_and_every_record_and_is_counted(here: World) -> None:
    server = here.serve()
    remote = here.fetch()

    with remote.document() as document:
        assert document.read() == here.served.document_bytes
    assert collect(remote, here.served.wanted) == here.served.records
    assert server.completed == 0
    remote.done()

    assert server.completed == 1
    assert here.notes.joins == [CLIENT]
    (receiver,) = server.receivers()
    size = here.served.document_size + sum(map(len, here.served.frames.values()))
    assert (receiver.id, receiver.completed, receiver.problem) == (CLIENT, True, None)
    assert receiver.sent_bytes == receiver.sent_by_kind["loopback"] == here.notes.sent[CLIENT, "loopback"] == size


def test_the_first_word_holds_nothing_but_a_nonce_that_is_new_each_time(here: World) -> None:
    here.serve()

    heads = []
    for _ in range(2):
        channel = here.call().open(SOON)
        frame = channel.receive(SOON)
        assert frame is not None
        heads.append(frame[0])

    assert heads[0].keys() == {"type", "version", "features", "require", "nonce"}
    assert heads[0]["nonce"] != heads[1]["nonce"]
    assert here.served.document not in str(heads)


def test_four_receivers_at_once_are_each_served_whole(here: World) -> None:
    server = here.serve()
    ids = [f"{number:02x}" * 32 for number in (1, 2, 3, 4)]

    def fetch(client_id: str) -> bool:
        remote = here.fetch(client_id=client_id)
        same = collect(remote, here.served.wanted) == here.served.records
        remote.done()
        return same

    fetches = [Started(lambda client_id=client_id: fetch(client_id)) for client_id in ids]  # type: ignore[misc]

    assert all(fetch.result(30) for fetch in fetches)
    assert server.completed == 4
    assert {receiver.id for receiver in server.receivers()} == set(ids)


def test_an_expired_ticket_is_refused_by_the_sender_s_clock(here: World) -> None:
    here.serve(terms=Terms(secret=SECRET, expires_at=NOW))

    with pytest.raises(PeerRefused, match="expired") as caught:
        here.fetch()
    assert caught.value.reason == "expired"
    assert here.notes.refused_ids == [(CLIENT, f"loopback:{CLIENT[:8]}")]


def test_a_session_that_began_before_goes_on_after_the_expiry(here: World) -> None:
    clock = [NOW]

    def now() -> datetime:
        return clock[0]

    here.serve(terms=Terms(secret=SECRET, expires_at=NOW + timedelta(hours=1)), now=now)
    remote = here.fetch()
    clock[0] = NOW + timedelta(hours=2)

    assert collect(remote, here.served.wanted) == here.served.records


def test_a_use_belongs_to_the_first_that_is_served_a_byte_who_may_come_again(here: World) -> None:
    server = here.serve(terms=Terms(secret=SECRET, uses=1))
    early = here.fetch(client_id=OTHER)
    with here.fetch() as first:
        collect(first, here.served.wanted[:1])

    early.request(*here.served.wanted[0])
    with pytest.raises(PeerRefused, match="used up"):
        early.wait(here.served.wanted[0][0], SOON)
    with pytest.raises(PeerRefused, match="used up"):
        here.fetch(client_id="33" * 32)
    assert not server.wait(0)
    again = here.fetch()
    assert collect(again, here.served.wanted) == here.served.records
    again.done()
    again.close()
    early.close()
    assert server.wait(SOON)


def test_only_those_on_the_list_are_served(here: World) -> None:
    here.serve(terms=Terms(secret=SECRET, allowed=frozenset({CLIENT})))

    assert collect(here.fetch(), here.served.wanted) == here.served.records
    with pytest.raises(PeerRefused, match="list"):
        here.fetch(client_id=OTHER)


def test_more_receivers_than_allowed_hear_that_it_is_busy(here: World) -> None:
    here.serve(bounds=Bounds(receivers=1))
    here.fetch()

    assert said_over(here.call(OTHER)) == "busy"


def test_the_connections_of_one_receiver_keep_no_other_out(here: World) -> None:
    here.serve(bounds=Bounds(receivers=2, connections=3, links=8))
    ours = here.endpoint(CLIENT)
    answers = [said_over(ours.connect(SERVER, timeout=SOON)) for _ in range(4)]

    assert answers == ["welcome"] * 3 + ["busy"]
    assert said_over(here.call(OTHER)) == "welcome"
    assert said_over(here.call("33" * 32)) == "busy"


@pytest.mark.parametrize(
    ("receiver", "standing", "room"),
    [
        ("a", {}, True),
        ("a", {"b": 6}, True),
        ("a", {"b": 3, "c": 2, "d": 1}, False),  # as many receivers as may be
        ("a", {"a": 3}, True),
        ("a", {"a": 4}, False),  # as many connections as one may have
        ("a", {"a": 3, "b": 2}, True),
        ("a", {"a": 3, "b": 3}, False),  # the last place is for whoever comes third
        ("a", {"a": 2, "b": 3, "c": 1}, True),
        ("a", {"a": 2, "b": 4, "c": 1}, False),
    ],
)
def test_there_is_always_a_place_for_a_receiver_that_may_still_come(
    receiver: str, standing: dict[str, int], *, room: bool
) -> None:
    bounds = Bounds(receivers=3, connections=4, links=7)

    assert bounds.room_for(receiver, standing) is room


def said_over(link: LoopbackLink) -> str:
    """What a newcomer hears after its proof."""
    answer = proven(link).receive(SOON)
    assert answer is not None
    return str(answer[0].get("code", answer[0]["type"]))


def test_stopping_tells_the_receivers_and_leaves_no_thread(here: World) -> None:
    before = set(threading.enumerate())
    server = here.serve()
    remote = here.fetch()
    collect(remote, here.served.wanted)
    waiting = Started(lambda: server.wait(None))
    server.stop()
    server.stop()

    assert waiting.result() is False
    with pytest.raises(PeerRefused, match="ended the share"):
        collect(remote, here.served.wanted)
    remote.close()
    assert set(threading.enumerate()) <= before


def test_stopping_does_not_wait_for_a_receiver_that_takes_nothing(here: World) -> None:
    server = here.serve(served=MemoryDocument(document=bytes(4 * MIB)))
    link = here.call()
    control = proven(link)
    assert control.receive(SOON) is not None
    link.open(SOON).send(head(protocol.GetDocument()))

    Started(server.stop).result(5)


def test_a_receiver_that_is_silent_is_lost_and_leaves_room(here: World) -> None:
    server = here.serve(bounds=Bounds(ping_seconds=0.05, lost_seconds=0.2))
    link = here.call()
    control = proven(link)
    assert control.receive(SOON) is not None
    while True:
        try:
            assert control.receive(SOON) is not None
        except PeerUnreachable:
            break

    server.stop()
    (receiver,) = server.receivers()
    assert (receiver.sessions, receiver.completed) == (0, False)
    assert receiver.problem


def test_a_stranger_that_says_nothing_is_dropped_in_time(here: World) -> None:
    here.serve(bounds=Bounds(handshake_seconds=0.1))
    link = here.call()

    with pytest.raises(PeerUnreachable):
        link.accept(SOON)


def test_a_request_channel_that_is_idle_is_given_back_and_the_session_stands(here: World) -> None:
    here.serve(bounds=Bounds(idle_seconds=0.1))
    link = here.call()
    control = proven(link)
    assert control.receive(SOON) is not None
    idle = link.open(SOON)
    with pytest.raises(TransferError):
        idle.receive(SOON)

    again = link.open(SOON)
    again.send(head(protocol.GetDocument()))
    assert again.receive(SOON) is not None


def test_a_file_that_cannot_be_read_ends_the_session_not_the_share(here: World) -> None:
    class Broken(MemoryDocument):
        def frame(self, digest: bytes) -> bytes | None:
            raise StorageError(f"cannot read `{digest.hex()[:4]}`: input/output error")

    served = Broken()
    here.serve(served=served)
    link = here.call()
    control = proven(link)
    assert control.receive(SOON) is not None
    channel = link.open(SOON)
    channel.send(head(protocol.GetRecords((served.wanted[0][0].hex(),))))
    with pytest.raises(PeerUnreachable):
        channel.receive(SOON)

    (warning,) = here.notes.warnings
    assert "cannot read" in warning
    assert "input/output error" in warning
    assert here.fetch(here.ticket(document=served.document)).document_size == served.document_size


def test_the_bytes_that_slow_receivers_hold_are_bounded(here: World) -> None:
    served = MemoryDocument(count=64, size=MIB // 2)
    server = here.serve(served=served, bounds=Bounds(bytes_in_flight=3 * MIB, receiver_bytes_in_flight=2 * MIB))
    digests = tuple(digest.hex() for digest, _ in served.wanted)
    for client_id in (CLIENT, OTHER):
        link = here.call(client_id)
        control = proven(link)
        assert control.receive(SOON) is not None
        for _ in range(8):
            link.open(SOON).send(head(protocol.GetRecords(digests)))

    honest = here.fetch(here.ticket(document=served.document), client_id="33" * 32)
    assert not Started(lambda: server.wait(None)).is_done_within(0.2)
    assert server.held_bytes <= 5 * MIB
    assert served.asked <= 16
    server.stop()
    honest.close()


def test_more_connections_of_a_slow_receiver_hold_no_more_bytes(here: World) -> None:
    served = MemoryDocument(count=64, size=MIB // 2)
    server = here.serve(served=served, bounds=Bounds(bytes_in_flight=16 * MIB, receiver_bytes_in_flight=2 * MIB))
    digests = tuple(digest.hex() for digest, _ in served.wanted)
    slow = here.endpoint(OTHER)
    links = [slow.connect(SERVER, timeout=SOON) for _ in range(6)]
    for link in links:
        assert proven(link).receive(SOON) is not None
        for _ in range(4):
            link.open(SOON).send(head(protocol.GetRecords(digests)))

    honest = here.fetch(here.ticket(document=served.document))
    assert collect(honest, served.wanted) == served.records
    assert server.held_bytes <= 3 * MIB
    assert server.held_for == 2
    for link in links:
        link.close()
    honest.close()
    with here.sessions_changed:
        assert here.sessions_changed.wait_for(lambda: not server.sessions, SOON)
    assert server.held_for == 0
