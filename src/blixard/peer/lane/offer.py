"""What one side tells the other, over the authenticated stream, so that a direct lane can be made.

It comes from a peer that may be hostile: everything is bounded and judged here, and what the addresses are good for is
judged by `lane_addresses.py`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Any

import msgspec

from blixard.errors import PeerMisbehaved
from blixard.model.structs import JsonObject
from blixard.peer.lane.certificates import CERTIFICATE_BYTES, check_certificate

TOKEN_BYTES = 16
OFFERED_ADDRESSES = 16
"""Addresses in one offer that are looked at; a host with more has them in the first sixteen."""
LOWEST_PORT = 1024
"""Below live services that a peer has no business to make us talk to."""
_ADDRESS_CHARS = 64
_TOKEN = re.compile(rf"[0-9A-Fa-f]{{{2 * TOKEN_BYTES}}}")
_KEYS = ("port", "certificate", "token", "addresses")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class LaneOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a side listens, whom it will be, and what it wants to hear."""

    port: int
    certificate: bytes
    """DER."""
    token: bytes
    """Names the session to the side that made this offer; only its peer knows it."""
    addresses: tuple[Address, ...]

    def __repr__(self) -> str:
        return f"LaneOffer(port={self.port}, addresses={self.addresses!r}, token=***)"

    def to_json(self) -> JsonObject:
        """For a frame's head."""
        return {
            "port": self.port,
            "certificate": base64.b64encode(self.certificate).decode(),
            "token": self.token.hex(),
            "addresses": [str(address) for address in self.addresses[:OFFERED_ADDRESSES]],
        }


def parse_offer(value: Any) -> LaneOffer:
    """The offer in a peer's frame; keys that we do not know are for later versions.

    Raises:
        PeerMisbehaved: it is none.
    """
    if not isinstance(value, dict):
        raise PeerMisbehaved("the peer's lane offer is not an object")
    missing = [key for key in _KEYS if key not in value]
    if missing:
        raise PeerMisbehaved(f"the peer's lane offer has no `{missing[0]}`")
    certificate = _certificate(value["certificate"])
    return LaneOffer(
        port=_port(value["port"]),
        certificate=certificate,
        token=parse_token(value["token"]),
        addresses=_addresses(value["addresses"]),
    )


def parse_token(value: Any) -> bytes:
    """Sixteen bytes from hex.

    Raises:
        PeerMisbehaved: they are none.
    """
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):  # `fromhex` would take spaces between the digits
        raise PeerMisbehaved(f"the peer sent a lane token that is not {2 * TOKEN_BYTES} hex digits")
    return bytes.fromhex(value)


def _port(value: Any) -> int:
    if type(value) is not int or not LOWEST_PORT <= value <= 65535:
        raise PeerMisbehaved(f"the peer's lane offer has a port that is not between {LOWEST_PORT} and 65535")
    return value


def _certificate(value: Any) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * CERTIFICATE_BYTES:
        raise PeerMisbehaved("the peer's lane offer has a certificate that is no text or too long")
    try:
        der = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise PeerMisbehaved("the peer's lane offer has a certificate that is not base64") from problem
    check_certificate(der)
    return der


def _addresses(value: Any) -> tuple[Address, ...]:
    if not isinstance(value, list) or len(value) > OFFERED_ADDRESSES:
        raise PeerMisbehaved(f"the peer's lane offer has no list of up to {OFFERED_ADDRESSES} addresses")
    return tuple(_address(item) for item in value)


def _address(value: Any) -> Address:
    if not isinstance(value, str) or len(value) > _ADDRESS_CHARS:
        raise PeerMisbehaved("the peer's lane offer has an address that is no text or too long")
    try:
        address = ipaddress.ip_address(value)  # a name would be looked up, and a hostile one could mean anything
    except ValueError as problem:
        raise PeerMisbehaved("the peer's lane offer has an address that is not an IP address") from problem
    if getattr(address, "scope_id", None) is not None:
        # a zone is a name on its own machine; with one, an address that is never dialled is no longer equal to itself
        raise PeerMisbehaved("the peer's lane offer has an address with a zone")
    return address
