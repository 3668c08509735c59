"""Which addresses a lane may be dialled at.

Offer and ticket come from somebody who may want us to knock on other people's doors: the metadata service, a database
on our own loopback, the internet. So we dial only where the peer has already proven to be (the addresses of the Iroh
connection) or on a network that we are attached to ourselves, and never what is special there.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence

import msgspec

from blixard.model.addresses import Ip, SocketAddress, parse_ip, seen_ip
from blixard.peer.lane.offer import LOWEST_PORT, LaneOffer

MOST_ADDRESSES = 4
_WIDEST = 8
"""A shorter prefix than any private network has is a default route in disguise."""
_NEVER = (parse_ip("169.254.169.254"), parse_ip("fd00:ec2::254"))
"""Metadata services of the clouds: they may lie on an attached network, and they answer anybody."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Surroundings(msgspec.Struct, frozen=True):
    """Our own addresses and the networks that we are directly attached to."""

    own: tuple[Ip, ...] = ()
    networks: tuple[Network, ...] = ()

    def offered(self) -> tuple[Ip, ...]:
        """Our addresses that may mean something to somebody else."""
        return tuple(address for address in self.own if not _is_local(address))


def dialable(offer: LaneOffer, seen: Iterable[str], around: Callable[[], Surroundings]) -> tuple[SocketAddress, ...]:
    """Where to dial, at most `MOST_ADDRESSES`, the best first; often nothing.

    Args:
        offer: what the peer says.
        seen: `host:port` of the peer on the Iroh connection.
        around: our own addresses and networks; asked for only when the peer says more than was seen.
    """
    if not LOWEST_PORT <= offer.port <= 65535:
        return ()
    proven = [address for address in map(seen_ip, seen) if address is not None and _is_unicast(address)]
    here = any(address.is_loopback for address in proven)
    stated = [address for address in offer.ips if address not in proven]
    chosen = dict.fromkeys(proven)
    if stated:
        ours = around()
        chosen |= dict.fromkeys(
            address for address in stated if _is_near(address, ours) or (here and _is_ours(address, ours))
        )
    return tuple(SocketAddress(address, offer.port) for address in chosen if address not in _NEVER)[:MOST_ADDRESSES]


def surroundings() -> Surroundings:
    """Our addresses and networks, asked of the kernel now (20 ms the first time, to load psutil)."""
    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    own: list[Ip] = []
    networks: list[Network] = []
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            if name in up and entry.family in {socket.AF_INET, socket.AF_INET6}:
                _note(entry.address, entry.netmask, own, networks)
    return Surroundings(tuple(own), tuple(networks))


def _is_near(address: Ip, around: Surroundings) -> bool:
    """Whether another machine on a network of ours has it."""
    if not _is_unicast(address) or _is_local(address) or address in around.own:
        return False
    return any(_holds(network, address) for network in around.networks)


def _is_ours(address: Ip, around: Surroundings) -> bool:
    return address.is_loopback or address in around.own


def _holds(network: Network, address: Ip) -> bool:
    if network.version != address.version or network.prefixlen < _WIDEST or address not in network:
        return False
    edges: Sequence[object] = (network.network_address, network.broadcast_address)
    return network.num_addresses <= 2 or address not in edges


def _is_unicast(address: Ip) -> bool:
    if address.is_loopback:
        return True  # Python counts ::1 among the reserved
    return not (address.is_multicast or address.is_unspecified or address.is_reserved)


def _is_local(address: Ip) -> bool:
    return address.is_loopback or address.is_link_local


def _note(address: str, netmask: str | None, own: list[Ip], networks: list[Network]) -> None:
    """Add an address of an interface to the lists; IPv6 ones come with a zone and a mask in address form."""
    bare = address.partition("%")[0]
    own.append(parse_ip(bare))
    if not netmask:
        return
    bits = int(parse_ip(netmask)).bit_count()
    networks.append(ipaddress.ip_network(f"{bare}/{bits}", strict=False))
