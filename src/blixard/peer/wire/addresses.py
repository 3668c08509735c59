"""Which socket addresses can be somebody's, which of ours go into a ticket, and which we bind.

What has no meaning as somebody's address (port 0, no host, a group) is refused before the network hears of it: a ticket
may name anything.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress

from blixard.model.addresses import EVERY_ADDRESS, LOOPBACK, Ip, SocketAddress, parse_address, unmapped

MOST = 16
"""Addresses in one ticket: a host with more interfaces is rare, and each is dialled."""


def family_of(ip: Ip) -> socket.AddressFamily:
    """The family of a socket for this address."""
    return socket.AF_INET6 if ip.version == 6 else socket.AF_INET


def parse_remote(text: str) -> SocketAddress:
    """An address that can be somebody's.

    Raises:
        ValueError: it is none, or none that one host can have.
    """
    address = parse_address(text)
    ip = unmapped(address.ip)
    if not address.port or ip.is_unspecified or ip.is_multicast or str(ip) == "255.255.255.255":
        raise ValueError("nobody can have this address")
    return address


def to_advertise(bound: Iterable[str], found: Iterable[str], listen: SocketAddress | None) -> tuple[str, ...]:
    """Where others may reach us.

    Args:
        bound: sockets that Iroh opened. It opens one for the other address family unasked.
        found: addresses that Iroh found for them on our interfaces.
        listen: what we were told to listen on.
    """
    sockets = _parsed(bound)
    if listen is not None and not listen.ip.is_unspecified:
        return tuple(str(each) for each in sockets if each.ip == listen.ip)
    useful = [each for each in _parsed(found) if not each.ip.is_loopback and not each.ip.is_link_local]
    if not useful:  # a host without a network may still serve itself
        useful = [SocketAddress(LOOPBACK[4], each.port) for each in sockets if each.ip.version == 4]
    return tuple(dict.fromkeys(str(each) for each in useful))[:MOST]


def companion(listen: SocketAddress) -> SocketAddress | None:
    """What to bind for the other address family, which Iroh would else bind everywhere; None where it is not to be had.

    Loopback when we were told to listen on one address, the same port when we were told to listen on all.
    """
    other = 4 if listen.ip.version == 6 else 6
    ip, port = (EVERY_ADDRESS[other], listen.port) if listen.ip.is_unspecified else (LOOPBACK[other], 0)
    return SocketAddress(ip, port) if _can_be_bound(ip) else None


def _parsed(texts: Iterable[str]) -> list[SocketAddress]:
    """Those that are addresses without a zone: one with a zone means nothing on another machine."""
    parsed = []
    for text in texts:
        with suppress(ValueError):
            parsed.append(parse_address(text))
    return parsed


def _can_be_bound(ip: Ip) -> bool:
    try:
        with socket.socket(family_of(ip), socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True
