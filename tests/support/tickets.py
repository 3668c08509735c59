"""Tickets, and records of tickets put together by hand."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from blixard.peer.wire import ticket as module
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.ticket import PREFIX, Ticket

_TICKET = Ticket(
    endpoint_id=bytes(range(32)),
    addresses=("192.0.2.7:41000", "[2001:db8::7]:41000"),
    relay=None,
    document="d1" * 32,
    secret=Secret(b"sixteen bytes!!!"),
    expires_at=datetime(2026, 11, 25, 12, tzinfo=UTC),
)


def make_ticket(**changes: Any) -> Ticket:
    """A good ticket, with changes."""
    return replace(_TICKET, **changes)


def record_of(ticket: Ticket) -> bytes:
    """Its record without the checksum."""
    return module._record(ticket)


def written(record: bytes) -> str:
    """A ticket's text whose checksums are right, whatever the record is: what an attacker can make."""
    return base32(module._with_checks(record + module._checksum(record)))


def base32(data: bytes) -> str:
    """A ticket's text of any bytes."""
    return PREFIX + base64.b32encode(data).decode().rstrip("=").lower()
