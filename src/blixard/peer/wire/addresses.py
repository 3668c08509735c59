"""Socket addresses of peers: parsed strictly, because a ticket may name anything, and chosen for our own ticket.

What has no meaning as somebody's address (port 0, no host, a group) is refused before the network hears of it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

from msgspec import Struct

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST = 16
"""Addresses in one ticket: a host with more interfaces is rare, and each is dialled."""
_FORM = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")


class SocketAddress(Struct, frozen=True):
    """An IP address and a port."""

    ip: Ip
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == 6 else f"{self.ip}:{self.port}"


def parse_address(text: str) -> SocketAddress:
    """`192.0.2.1:7000` or `[2001:db8::1]:7000`; no names, no scope, port 0 is a port here.

    Raises:
        ValueError: anything else.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("not an IP address and a port")
    port = int(match[3])
    if port > 65535:
        raise ValueError("the port is above 65535")
    return SocketAddress(ipaddress.IPv6Address(match[1]) if match[1] else ipaddress.IPv4Address(match[2]), port)


def parse_remote(text: str) -> SocketAddress:
    """An address that can be somebody's.

    Raises:
        ValueError: it is none, or none that one host can have.
    """
    address = parse_address(text)
    if not address.port or address.ip.is_unspecified or address.ip.is_multicast or str(address.ip) == "255.255.255.255":
        raise ValueError("nobody can have this address")
    return address


def to_advertise(bound: Iterable[str], found: Iterable[str], listen: SocketAddress | None) -> tuple[str, ...]:
    """Where others may reach us.

    Args:
        bound: sockets that Iroh opened. It opens one for the other address family unasked.
        found: addresses that Iroh found for them on our interfaces.
        listen: what we were told to listen on.
    """
    sockets = [parse_address(each) for each in bound if _FORM.fullmatch(each)]
    if listen is not None and not listen.ip.is_unspecified:
        return tuple(str(each) for each in sockets if each.ip == listen.ip)
    parsed = [parse_address(each) for each in found if _FORM.fullmatch(each)]
    useful = [each for each in parsed if not each.ip.is_loopback and not each.ip.is_link_local]
    if not useful:  # a host without a network may still serve itself
        useful = [SocketAddress(_LOOPBACK, each.port) for each in sockets if each.ip.version == 4]
    return tuple(dict.fromkeys(str(each) for each in useful))[:MOST]


def companion(listen: SocketAddress) -> SocketAddress | None:
    """What to bind for the other address family, which Iroh would else bind everywhere; None where it is not to be had.

    Loopback when we were told to listen on one address, the same port when we were told to listen on all.
    """
    other: Ip
    if listen.ip.is_unspecified:
        other = ipaddress.IPv4Address(0) if listen.ip.version == 6 else ipaddress.IPv6Address(0)
        port = listen.port
    else:
        other = _LOOPBACK if listen.ip.version == 6 else ipaddress.IPv6Address(1)
        port = 0
    return SocketAddress(other, port) if _can_be_bound(other) else None


def _can_be_bound(ip: Ip) -> bool:
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True


_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
