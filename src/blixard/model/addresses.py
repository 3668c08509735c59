"""IP addresses and ports: the one place that reads them from text.

Pure, and strict where a peer may have written the text: no name is ever looked up, because a hostile one could mean
anything. Which addresses may be told or dialled is for those to judge who tell and dial (`peer.wire.addresses`,
`peer.lane.addresses`).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Self

from msgspec import Struct

Ip = IPv4Address | IPv6Address

LOOPBACK: dict[int, Ip] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address(1)}
EVERY_ADDRESS: dict[int, Ip] = {4: IPv4Address(0), 6: IPv6Address(0)}
"""What a socket is bound to that takes connections at every address of the machine, by IP version."""
_SOCKET = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")
_BIND = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")


class SocketAddress(Struct, frozen=True):
    """An IP address and a port."""

    ip: Ip
    port: int

    @classmethod
    def of(cls, name: tuple[Any, ...]) -> Self:
        """From what the socket module gives: host and port first. The zone of an IPv6 host is left out."""
        return cls(parse_ip(name[0].partition("%")[0]), name[1])

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == 6 else f"{self.ip}:{self.port}"


def parse_ip(text: str) -> Ip:
    """An IP address, IPv6 perhaps with a zone; `::ffff:10.0.0.1` is 10.0.0.1, so that no rule is passed in disguise.

    Raises:
        ValueError: it is none.
    """
    return unmapped(ip_address(text))


def unmapped(ip: Ip) -> Ip:
    """What an address means, however it is written: `::ffff:10.0.0.1` is 10.0.0.1."""
    return (ip.ipv4_mapped if isinstance(ip, IPv6Address) else None) or ip


def parse_address(text: str) -> SocketAddress:
    """`192.0.2.1:7000` or `[2001:db8::1]:7000`, taken as it is written; no names, no zone, port 0 is a port here.

    Raises:
        ValueError: anything else.
    """
    match = _SOCKET.fullmatch(text)
    if match is None:
        raise ValueError("not an IP address and a port")
    port = int(match[3])
    if port > 65535:
        raise ValueError("the port is above 65535")
    return SocketAddress(IPv6Address(match[1]) if match[1] else IPv4Address(match[2]), port)


def seen_ip(text: str) -> Ip | None:
    """The IP address in what a transport says of where it sees a peer; None when it is none (a relay, for instance).

    Wider than `parse_address`: what the transport has seen may have a zone, which is right on this machine.
    """
    host, _, port = text.rpartition(":")
    try:
        return parse_ip(host.removeprefix("[").removesuffix("]")) if port.isdecimal() else None
    except ValueError:
        return None


def is_bind_address(text: str) -> bool:
    """Whether it is `HOST:PORT` or `[IPv6]:PORT`.

    Wider than the address of a peer: the nodes of one cluster may have names, and a site that looks them up.
    """
    match = _BIND.fullmatch(text)
    return match is not None and int(match[2]) <= 0xFFFF
