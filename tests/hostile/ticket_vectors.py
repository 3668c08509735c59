"""Texts that are no tickets, each with what the error says: typing errors, other tools' tickets, made-up records.

The made-up ones have right checksums: anybody can compute those, so every field behind them is hostile.
"""

from __future__ import annotations

from msgspec import Struct

from blixard.limits import DEFAULT
from blixard.peer.wire.addresses import MOST
from blixard.peer.wire.ticket import PREFIX
from support.tickets import base32, make_ticket, record_of, written

GOOD = make_ticket()
TEXT = GOOD.encode()
RECORD = record_of(GOOD)
HEAD = 2 + 32 + 32 + 16
"""Bytes before the expiry."""
PLAIN = record_of(make_ticket(addresses=(), relay=None, expires_at=None))
NO_EXPIRY = bytes(5)


class TicketVector(Struct, frozen=True):
    """A text, and what the message must hold."""

    name: str
    text: str
    says: str


def made(tail: bytes) -> str:
    """A ticket whose record ends like this, after the secret."""
    return written(RECORD[:HEAD] + tail)


def addressed(addresses: bytes, count: int = 1) -> str:
    return made(NO_EXPIRY + bytes([count]) + addresses + b"\0")


def related(relay: bytes) -> str:
    return made(NO_EXPIRY + b"\0" + bytes([len(relay)]) + relay)


def uncanonical() -> str:
    """The last letter says more bits than there are bytes."""
    last = {"a": "b", "q": "r"}.get(TEXT[-1], chr(ord(TEXT[-1]) + 1))
    return TEXT[:-1] + last


VECTORS = [
    TicketVector("nothing", "", "empty"),
    TicketVector("white space", " \r\n\t ", "empty"),
    TicketVector("the prefix alone", PREFIX, "too short"),
    TicketVector("half of the prefix", "blix", "does not begin"),
    TicketVector("without the prefix", TEXT[len(PREFIX) :], "does not begin"),
    TicketVector("a word before it", f"ticket:{TEXT}", "does not begin"),
    TicketVector("in quotes", f'"{TEXT}"', "does not begin"),
    TicketVector("an iroh ticket", "endpointab4bd6s3hxfrwgv2aaqnxf6fo6gj4nk2", "does not begin"),
    TicketVector("a magnet link", "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a", "does not begin"),
    TicketVector("a path", "/var/backups/web.json", "does not begin"),
    TicketVector("JSON", '{"ticket": "blixard"}', "does not begin"),
    TicketVector("too long", TEXT + " " * DEFAULT.ticket_chars, "ticket_chars"),
    TicketVector("much too long", PREFIX + "a" * 5_000_000, "ticket_chars"),
    TicketVector("a zero for an o", TEXT[:20] + "0" + TEXT[21:], "character 21 "),
    TicketVector("a one for an l", TEXT[:20] + "1" + TEXT[21:], "character 21 "),
    TicketVector("an eight for a b", TEXT[:20] + "8" + TEXT[21:], "character 21 "),
    TicketVector("a hyphen of a word wrap", TEXT[:60] + "-\n" + TEXT[60:], "character 61 "),
    TicketVector("a zero-width space", TEXT[:60] + "\u200b" + TEXT[60:], "character 61 "),
    TicketVector("a NUL", TEXT[:60] + "\0" + TEXT[61:], "character 61 "),
    TicketVector("a Kelvin sign for a k", PREFIX + "\u212a" * 40, "character 8 "),
    TicketVector("a wide letter", PREFIX + "\uff41" + TEXT[8:], "character 8 "),
    TicketVector("half a character of an argument", TEXT[:30] + "\udcff", "character 31 "),
    TicketVector("padding", TEXT + "====", f"character {len(TEXT) + 1} "),
    TicketVector("the last letter missing", TEXT[:-1], "the end is missing"),
    TicketVector("cut within a byte", TEXT[: len(PREFIX) + 33], "within a byte"),
    TicketVector("cut in the middle", TEXT[: len(PREFIX) + 69], "between characters 72 and 76"),
    TicketVector("cut between groups", TEXT[: len(PREFIX) + 96], "checksum"),
    TicketVector("twice in a row", TEXT + TEXT, "the end is missing"),
    TicketVector("two texts mixed", TEXT[:90] + make_ticket(document="d2" * 32).encode()[90:], "between characters"),
    TicketVector("bits behind the last byte", uncanonical(), "another way"),
    TicketVector("zeros", base32(bytes(120)), "between characters 8 and 39"),
    TicketVector("a record of nothing", written(b""), "ends early"),
    TicketVector("version 0", written(b"\0" + RECORD[1:]), "version 0"),
    TicketVector("version 2", written(b"\2" + RECORD[1:]), "version 2"),
    TicketVector("version 255 and nothing else", written(b"\xff"), "version 255"),
    TicketVector("ends in the endpoint id", written(RECORD[:20]), "ends early"),
    TicketVector("ends in the secret", written(RECORD[: HEAD - 1]), "ends early"),
    TicketVector("ends before the relay", made(NO_EXPIRY + b"\0"), "ends early"),
    TicketVector("a byte follows", written(RECORD + b"\0"), "follow its record"),
    TicketVector("another record follows", written(RECORD + RECORD), "follow its record"),
    TicketVector("expires after the year 9999", made(b"\xff" * 5 + b"\0\0"), "breaks its rule"),
    TicketVector("more addresses than are taken", addressed(b"\4\1\2\3\4\0\5" * 17, MOST + 1), "17 addresses"),
    TicketVector("says 255 addresses, has none", addressed(b"", 255), "255 addresses"),
    TicketVector("says 2 addresses, has 1", addressed(b"\4\1\2\3\4\0\5", 2), "kind 0"),
    TicketVector("an address of kind 0", addressed(b"\0\1\2\3\4\0\5"), "kind 0"),
    TicketVector("an address of kind 5", addressed(b"\5\1\2\3\4\0\5"), "kind 5"),
    TicketVector("an IPv6 address that ends early", addressed(b"\6" + bytes(8)), "ends early"),
    TicketVector("port 0", addressed(b"\4\1\2\3\4\0\0"), "breaks its rule"),
    TicketVector("a relay that is no URL", related(b"relay.example"), "breaks its rule"),
    TicketVector("a relay of another kind", related(b"file:///etc/shadow"), "breaks its rule"),
    TicketVector("a relay with a line break", related(b"https://relay.example/\r\nHost: x"), "breaks its rule"),
    TicketVector("a relay with an escape sequence", related(b"https://\x1b]0;x\x07"), "breaks its rule"),
    TicketVector("a relay that is not ASCII", related("https://r\u00e9lay".encode()), "breaks its rule"),
    TicketVector("a relay as long as it gets", related(b"https://" + b"x" * 247), "breaks its rule"),
    TicketVector("a relay longer than the record", made(NO_EXPIRY + b"\0\xffhttps://x"), "ends early"),
]
