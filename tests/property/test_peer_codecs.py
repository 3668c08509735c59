"""Tickets and frames: whatever comes in, it is accepted or it is a TransferError; what goes out comes back."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from blixard.errors import InvalidTicket, PeerMisbehaved
from blixard.model.addresses import SocketAddress
from blixard.peer.ports import BODY_BYTES, HEAD_BYTES
from blixard.peer.wire import protocol
from blixard.peer.wire.frames import FrameReader, decode_head, encode_frame
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.states import FROM_CLIENT, FROM_SERVER, Incoming, State, Table
from blixard.peer.wire.ticket import PREFIX, Ticket, parse_ticket
from support.frames import fed
from support.tickets import base32, make_ticket, written

hex_ids = st.binary(min_size=32, max_size=32).map(bytes.hex)
addresses = (
    st.builds(SocketAddress, st.ip_addresses(), st.integers(1, 65535)).map(str).filter(lambda text: "%" not in text)
)
relays = st.none() | st.text("abcdefghijklmnopqrstuvwxyz.:/-?=%0123456789", min_size=1, max_size=240).map(
    "https://".__add__
)
expiries = st.none() | st.integers(1, 250_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
tickets = st.builds(
    Ticket,
    endpoint_id=st.binary(min_size=32, max_size=32),
    addresses=st.lists(addresses, max_size=16).map(tuple),
    relay=relays,
    document=hex_ids,
    secret=st.binary(min_size=16, max_size=16).map(Secret),
    expires_at=expiries,
    flags=st.integers(0, 255),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
heads = st.dictionaries(st.text(max_size=12), values, max_size=5)
frames = st.tuples(heads, st.binary(max_size=2000))


@given(tickets)
def test_a_ticket_is_read_back_from_its_text(ticket: Ticket) -> None:
    assert parse_ticket(ticket.encode()) == ticket


@given(tickets, st.data())
def test_a_ticket_survives_being_wrapped_and_shouted(ticket: Ticket, data: st.DataObject) -> None:
    text = ticket.encode()
    cuts = data.draw(st.sets(st.integers(0, len(text)), max_size=5))
    wrapped = "".join(("\r\n \t" if at in cuts else "") + letter for at, letter in enumerate(text))

    assert parse_ticket(wrapped.upper()) == ticket


def accepted_or_refused(text: str) -> None:
    try:
        ticket = parse_ticket(text)
    except InvalidTicket:
        return
    assert ticket.encode() == "".join(text.split()).lower()


@given(st.text(max_size=300) | st.text("abcdefghijklmnopqrstuvwxyz234567 \n", max_size=600).map(PREFIX.__add__))
@example(PREFIX)
def test_any_text_is_a_ticket_or_is_refused(text: str) -> None:
    accepted_or_refused(text)


@given(st.binary(max_size=400))
def test_any_bytes_as_a_ticket_are_accepted_or_refused(data: bytes) -> None:
    accepted_or_refused(base32(data))


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: b"\1\0" + bytes(80) + tail))
def test_any_record_under_a_right_checksum_is_accepted_or_refused(record: bytes) -> None:
    accepted_or_refused(written(record))


@given(st.data())
def test_a_damaged_ticket_is_refused(data: st.DataObject) -> None:
    text = make_ticket().encode()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
    if letter != text[at]:
        try:
            parse_ticket(text[:at] + letter + text[at + 1 :])
        except InvalidTicket:
            return
        raise AssertionError("a ticket with a typing error was taken")


@given(st.lists(frames, max_size=6), st.integers(1, 700))
def test_frames_are_read_back_however_the_bytes_come(sent: list[tuple[dict[str, Any], bytes]], step: int) -> None:
    stream = b"".join(bytes(part) for head, body in sent for part in encode_frame(head, body))
    reader = FrameReader()

    got = [
        (head, bytes(body)) for at in range(0, len(stream), step) for head, body in fed(reader, stream[at : at + step])
    ]

    assert got == sent
    reader.end()


json_like = st.text('{}[]":,0123456789.eE-+ntfalsru\\ \ud83d\x00é', max_size=60).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


@given(st.binary(max_size=200) | json_like | json_like.map(lambda text: b'{"a":' + text + b"}"))
def test_any_head_is_an_object_or_a_misbehaving_peer(text: bytes) -> None:
    try:
        head = decode_head(text)
    except PeerMisbehaved:
        return
    assert isinstance(head, dict)
    ((again, _),) = fed(FrameReader(), b"".join(map(bytes, encode_frame(head))))
    assert again == head


@given(st.binary(max_size=300), st.integers(0, BODY_BYTES))
@example(struct.pack(">I", HEAD_BYTES + 1), 0)
def test_any_bytes_are_frames_or_a_misbehaving_peer(data: bytes, limit: int) -> None:
    reader = FrameReader(limit)
    try:
        for head, body in fed(reader, data):
            assert isinstance(head, dict)
            assert len(body) <= limit
        reader.end()
    except PeerMisbehaved:
        return
    assert reader.between


@given(st.lists(frames, min_size=1, max_size=3), st.data())
def test_a_changed_byte_in_frames_is_seen_or_changes_only_what_they_say(
    sent: list[tuple[dict[str, Any], bytes]], data: st.DataObject
) -> None:
    stream = bytearray(b"".join(bytes(part) for head, body in sent for part in encode_frame(head, body)))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    reader = FrameReader()
    try:
        list(fed(reader, bytes(stream)))
    except PeerMisbehaved:
        return
    with reader.room() as room:
        assert len(room) <= BODY_BYTES


STATES = [(table, state) for table in (FROM_SERVER, FROM_CLIENT) for state in table]
TYPES = (
    "hello",
    "welcome",
    "refused",
    "ping",
    "done",
    "bye",
    "document",
    "part",
    "end",
    "records",
    "record",
    "missing",
)
FIELDS = ("version", "features", "require", "nonce", "proof", "lane", "code", "offset", "digests", "blake3", "length")


@given(
    st.fixed_dictionaries(
        {}, optional={"type": st.sampled_from(TYPES) | values, **dict.fromkeys(FIELDS, values | hex_ids)}
    ),
    st.sampled_from(STATES),
)
def test_any_head_is_a_message_that_may_come_now_or_a_misbehaving_peer(
    head: dict[str, Any], begun: tuple[Table, State]
) -> None:
    table, state = begun
    incoming = Incoming(table, state)
    try:
        message = incoming.message((head, b""))
    except PeerMisbehaved:
        assert incoming.state is state
        return
    assert incoming.state is table[state][type(message)]
    assert Incoming(table, state).message((protocol.head(message), b"")) == message


@given(st.binary(min_size=16, max_size=16), hex_ids, hex_ids, hex_ids)
def test_a_proof_holds_for_its_secret_and_both_ends_and_nonce_only(
    raw: bytes, client: str, server: str, nonce: str
) -> None:
    secret = Secret(raw)
    proof = protocol.prove(secret, client_id=client, server_id=server, nonce=nonce)
    other = "%064x" % (int(client, 16) ^ 1)

    assert protocol.proves(proof, secret, client_id=client, server_id=server, nonce=nonce)
    assert not protocol.proves(
        proof, Secret(bytes([raw[0] ^ 1]) + raw[1:]), client_id=client, server_id=server, nonce=nonce
    )
    assert not protocol.proves(proof, secret, client_id=other, server_id=server, nonce=nonce)
    assert not protocol.proves(proof, secret, client_id=client, server_id=other, nonce=nonce) or other == server
    assert not protocol.proves(proof, secret, client_id=client, server_id=server, nonce=other) or other == nonce
