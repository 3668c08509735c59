"""An offer: what one side tells the other over the session's link, so that a direct lane can be made.

It comes from a peer that may be hostile: everything is bounded and judged here, and what the addresses are good for is
judged by `addresses.py`.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from blixard.errors import PeerMisbehaved
from blixard.model.addresses import Ip, parse_ip
from blixard.peer.lane.certificates import CERTIFICATE_BYTES, check_certificate

OFFERED_ADDRESSES = 16
"""Addresses in one offer that are looked at; a host with more has them in the first sixteen."""
LOWEST_PORT = 1024
"""Below live services that a peer has no business to make us talk to."""

Token = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
"""Sixteen random bytes in hex."""


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_hex(16)


class LaneOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a side listens, with which certificate and for which token. Keys that we do not know are passed over."""

    port: Annotated[int, Meta(ge=LOWEST_PORT, le=65535)]
    certificate: Annotated[bytes, Meta(max_length=CERTIFICATE_BYTES)]
    """DER."""
    token: Token
    """Names the session to the side that made this offer; only its peer knows it."""
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=OFFERED_ADDRESSES)]
    """Without a port."""

    def __repr__(self) -> str:
        return f"LaneOffer(port={self.port}, addresses={self.addresses!r}, token=***)"

    @property
    def ips(self) -> tuple[Ip, ...]:
        """The addresses, parsed.

        Raises:
            PeerMisbehaved: one is not an IP address.
        """
        return tuple(_ip(text) for text in self.addresses)


def parse_offer(value: Any) -> LaneOffer:
    """The offer in a peer's frame.

    Raises:
        PeerMisbehaved: it is none.
    """
    try:
        offer = msgspec.convert(value, LaneOffer, strict=True)
    except msgspec.ValidationError as problem:  # it names our own fields, and nothing that the peer wrote
        raise PeerMisbehaved(f"the peer's lane offer is none: {problem}") from problem
    check_certificate(offer.certificate)
    _ = offer.ips
    return offer


def _ip(text: str) -> Ip:
    try:
        ip = parse_ip(text)
    except ValueError as problem:
        raise PeerMisbehaved("the peer's lane offer has an address that is not an IP address") from problem
    if "%" in text:
        # a zone is a name on its own machine; with one, an address that is never dialled is no longer equal to itself
        raise PeerMisbehaved("the peer's lane offer has an address with a zone")
    return ip
