"""The text of a ticket and back: whom to ask, for what, and the secret that lets one ask.

`blixard` and base32 (RFC 4648, lower case, no padding) of the record below, big-endian. After each 19 bytes stands a
check byte, so that a typing error is placed within 32 characters; a checksum over all ends it, so that none passes.

    version 1 | flags 1 | endpoint id 32 | document digest 32 | secret 16 | expiry 5 (Unix seconds, 0: none)
    | addresses 1, each: 4 or 6, 4 or 16 bytes, port 2 | relay: length 1, text | checksum 4 (BLAKE3)
"""

from __future__ import annotations

import base64
import re
import struct
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

from blake3 import blake3
from msgspec import Struct

from blixard.errors import InvalidTicket
from blixard.limits import DEFAULT
from blixard.model.addresses import SocketAddress, parse_address
from blixard.model.structs import JsonObject
from blixard.peer.wire.addresses import MOST
from blixard.peer.wire.secret import SECRET_BYTES, Secret

PREFIX = "blixard"
VERSION = 1
_ID_BYTES = 32
_EXPIRY_BYTES = 5
_CHECKSUM_BYTES = 4
_GROUP = 20
"""Bytes of a group with its check byte: 32 characters exactly."""
_GROUP_CHARS = 32
_CONTEXT = b"blixard ticket"
_RELAY = re.compile(r"https?://[A-Za-z0-9._~:/?@%+,=\[\]-]{1,240}")
_HEX_ID = re.compile(r"[0-9a-f]{64}")
_NEW_TICKET = "ask the sender for the ticket again, and paste the whole of it"


class Ticket(Struct, frozen=True, kw_only=True):
    """A capability: whoever has it may fetch the export. Raises ValueError when a field breaks its rule."""

    endpoint_id: bytes
    """The sender's identity: 32 bytes, an Ed25519 public key."""
    addresses: tuple[str, ...]
    """Where it was reachable: `1.2.3.4:5` or `[::1]:5`."""
    relay: str | None = None
    """URL of its relay."""
    document: str
    """`integrity.document` of the export, 64 hex digits."""
    secret: Secret
    expires_at: datetime | None = None
    """UTC, whole seconds; only the sender judges it, by its own clock."""
    flags: int = 0
    """None is defined yet; a reader passes over those that it does not know."""

    def __post_init__(self) -> None:
        if len(self.endpoint_id) != _ID_BYTES or not _HEX_ID.fullmatch(self.document):
            raise ValueError("an endpoint id and a document digest have 32 bytes each")
        if not 0 <= self.flags <= 0xFF or len(self.addresses) > MOST:
            raise ValueError(f"flags are one byte, addresses at most {MOST}")
        for address in self.addresses:
            parsed = parse_address(address)
            if not parsed.port or str(parsed) != address:
                raise ValueError(f"`{address}` is not written in the usual way")
        if self.relay is not None and not _RELAY.fullmatch(self.relay):
            raise ValueError("a relay is a URL of at most 248 characters that mean nothing to a shell")
        if self.expires_at is not None and (self.expires_at.tzinfo is not UTC or self.expires_at.microsecond):
            raise ValueError("expiry is in UTC and whole seconds")
        if self.expires_at is not None and self.expires_at.timestamp() < 1:
            raise ValueError("expiry is after 1970")

    @property
    def peer_id(self) -> str:
        """`endpoint_id` as people and links write it: 64 hex digits."""
        return self.endpoint_id.hex()

    def encode(self) -> str:
        """The text, secret and all: for the one who is to have it, and for nobody's log."""
        record = _record(self)
        record += _checksum(record)
        return PREFIX + base64.b32encode(_with_checks(record)).decode().rstrip("=").lower()

    def public(self) -> JsonObject:
        """What may be shown of it, for people and JSON: everything but the secret."""
        return {
            "version": VERSION,
            "endpoint_id": self.peer_id,
            "addresses": list(self.addresses),
            "relay": self.relay,
            "document": self.document,
            "expires_at": None if self.expires_at is None else self.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "flags": self.flags,
        }


def parse_ticket(text: str) -> Ticket:
    """A ticket from its text; white space, line breaks and case do not matter.

    Raises:
        InvalidTicket: saying where it is garbled, never what it holds.
    """
    if len(text) > DEFAULT.ticket_chars:
        raise _garbled(f"it has {len(text)} characters, the limit `ticket_chars` is {DEFAULT.ticket_chars}")
    joined = "".join(text.split())
    if not joined:
        raise _garbled("it is empty")
    if not joined[: len(PREFIX)].lower().startswith(PREFIX):
        raise _garbled(f"it does not begin with `{PREFIX}`")
    record = _without_checks(_from_base32(joined))
    if _checksum(record[:-_CHECKSUM_BYTES]) != record[-_CHECKSUM_BYTES:]:
        raise _garbled("its checksum does not match")
    ticket = _parsed(record[:-_CHECKSUM_BYTES])
    if ticket.encode() != joined.lower():
        raise _garbled("the same ticket is written in another way")
    return ticket


def _garbled(why: str) -> InvalidTicket:
    return InvalidTicket(f"this is not a ticket: {why}", hint=_NEW_TICKET)


def _checksum(record: bytes) -> bytes:
    return blake3(_CONTEXT + record).digest(_CHECKSUM_BYTES)


def _check(position: int, group: bytes) -> bytes:
    return blake3(_CONTEXT + struct.pack(">I", position) + group).digest(1)


def _with_checks(record: bytes) -> bytes:
    size = _GROUP - 1
    groups = (record[at : at + size] for at in range(0, len(record), size))
    return b"".join(group + _check(position, group) for position, group in enumerate(groups))


def _without_checks(data: bytes) -> bytes:
    kept = bytearray()
    for position in range(-(-len(data) // _GROUP)):
        group = data[position * _GROUP : (position + 1) * _GROUP]
        if _check(position, group[:-1]) != group[-1:]:
            first = len(PREFIX) + position * _GROUP_CHARS
            last = first + -(-len(group) * 8 // 5)
            raise _garbled(f"something is wrong or missing between characters {first + 1} and {last}")
        kept += group[:-1]
    if len(kept) < _CHECKSUM_BYTES:
        raise _garbled("it is too short")
    return bytes(kept)


def _from_base32(joined: str) -> bytes:
    for position, character in enumerate(joined[len(PREFIX) :], len(PREFIX) + 1):
        if character not in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ234567":
            raise _garbled(f"character {position} (white space apart) is not a letter or one of the digits 2 to 7")
    body = joined[len(PREFIX) :]
    if len(body) % 8 in {1, 3, 6}:
        raise _garbled(f"it ends after character {len(joined)}, within a byte: the end is missing")
    return base64.b32decode(body.upper() + "=" * (-len(body) % 8))


class _Fields:
    """The fields of a ticket's record, taken one after the other."""

    def __init__(self, record: bytes) -> None:
        self._record = record
        self._at = 0

    def take(self, length: int) -> bytes:
        taken = self._record[self._at : self._at + length]
        if len(taken) != length:
            raise _garbled("its record ends early")
        self._at += length
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def end(self) -> None:
        if self._at != len(self._record):
            raise _garbled(f"{len(self._record) - self._at} bytes follow its record")


def _record(ticket: Ticket) -> bytes:
    expiry = 0 if ticket.expires_at is None else int(ticket.expires_at.timestamp())
    relay = (ticket.relay or "").encode()
    return b"".join(
        [
            bytes([VERSION, ticket.flags]),
            ticket.endpoint_id,
            bytes.fromhex(ticket.document),
            ticket.secret.reveal(),
            expiry.to_bytes(_EXPIRY_BYTES, "big"),
            bytes([len(ticket.addresses)]),
            *(_packed_address(address) for address in ticket.addresses),
            bytes([len(relay)]),
            relay,
        ]
    )


def _packed_address(address: str) -> bytes:
    parsed = parse_address(address)
    return bytes([parsed.ip.version]) + parsed.ip.packed + parsed.port.to_bytes(2, "big")


def _parsed(record: bytes) -> Ticket:
    fields = _Fields(record)
    version = fields.number(1)
    if version != VERSION:
        raise InvalidTicket(
            f"the ticket has version {version}, this program reads version {VERSION}", hint="update this program"
        )
    try:
        ticket = Ticket(
            flags=fields.number(1),
            endpoint_id=fields.take(_ID_BYTES),
            document=fields.take(_ID_BYTES).hex(),
            secret=Secret(fields.take(SECRET_BYTES)),
            expires_at=_expiry(fields.number(_EXPIRY_BYTES)),
            addresses=_addresses(fields),
            relay=fields.take(fields.number(1)).decode("ascii") or None,
        )
    except (ValueError, OverflowError, OSError) as problem:
        # what the record holds stays out of the message: only somebody who can make a checksum comes here
        raise _garbled("a field of its record breaks its rule") from problem
    fields.end()
    return ticket


def _expiry(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _addresses(fields: _Fields) -> tuple[str, ...]:
    count = fields.number(1)
    if count > MOST:
        raise _garbled(f"it has {count} addresses, {MOST} are the most")
    return tuple(_address(fields) for _ in range(count))


def _address(fields: _Fields) -> str:
    kind = fields.number(1)
    if kind not in {4, 6}:
        raise _garbled(f"an address of it is of kind {kind}, 4 and 6 are known")
    host = IPv4Address(fields.take(4)) if kind == 4 else IPv6Address(fields.take(16))
    return str(SocketAddress(host, fields.number(2)))
