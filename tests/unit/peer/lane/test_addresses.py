from __future__ import annotations

import ipaddress

import pytest

from blixard.peer.lane.addresses import MOST_ADDRESSES, Surroundings, dialable, surroundings
from blixard.peer.lane.offer import LaneOffer

AROUND = Surroundings(
    own=tuple(
        ipaddress.ip_address(text)
        for text in ("127.0.0.1", "::1", "192.168.7.20", "fd12:3456::20", "fe80::1", "10.9.0.1")
    ),
    networks=tuple(
        ipaddress.ip_network(text)
        for text in ("127.0.0.0/8", "::1/128", "192.168.7.0/24", "fd12:3456::/64", "fe80::/64", "10.9.0.1/32")
    ),
)


def offer(*addresses: str, port: int = 5000) -> LaneOffer:
    return LaneOffer(port=port, certificate=b"", token="00" * 16, addresses=addresses)


def dialled(*addresses: str, seen: tuple[str, ...] = (), around: Surroundings = AROUND, port: int = 5000) -> list[str]:
    chosen = dialable(offer(*addresses, port=port), seen, lambda: around)
    assert {address.port for address in chosen} <= {port}
    return [str(address.ip) for address in chosen]


@pytest.mark.parametrize("near", ["192.168.7.1", "192.168.7.254", "fd12:3456::1"])
def test_a_peer_on_a_network_of_ours_is_dialled(near: str) -> None:
    assert dialled(near) == [near]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "8.8.8.8",
        "2001:4860:4860::8888",
        "192.168.8.1",  # the next subnet
        "10.9.0.2",  # beside a point-to-point address
        "fd12:3456:0:1::1",
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "0.0.0.0",  # noqa: S104 - means this host when it is dialled
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "192.168.7.255",  # the broadcast address of our network
        "192.168.7.0",
        "192.168.7.20",  # ourselves
        "fe80::2",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_a_peer_cannot_make_us_dial_anything_else(elsewhere: str) -> None:
    assert dialled(elsewhere) == []
    assert dialled(elsewhere, seen=("192.168.7.9:4433",)) == ["192.168.7.9"]


def test_a_metadata_service_on_a_network_of_ours_is_not_dialled() -> None:
    networks = tuple(ipaddress.ip_network(text) for text in ("169.254.0.0/16", "fd00:ec2::/32", "100.64.0.0/10"))
    around = Surroundings(own=(), networks=networks)

    assert dialled("169.254.169.254", "fd00:ec2::254", "169.254.7.7", around=around) == []
    assert dialled(seen=("169.254.169.254:80", "[fd00:ec2::254]:443"), around=around) == []


def test_a_default_route_does_not_make_the_world_our_network() -> None:
    around = Surroundings(networks=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/1")))

    assert dialled("8.8.8.8", "2001:4860:4860::8888", around=around) == []


def test_where_the_peer_was_seen_is_dialled_first_wherever_it_is() -> None:
    seen = ("203.0.113.7:4433", "[2001:db8:1::7]:4433")

    assert dialled("192.168.7.5", seen=seen) == ["203.0.113.7", "2001:db8:1::7", "192.168.7.5"]


def test_our_own_host_is_dialled_only_when_the_peer_was_seen_on_loopback() -> None:
    assert dialled("127.0.0.1", "192.168.7.20", seen=("192.168.7.9:1",)) == ["192.168.7.9"]
    assert dialled("192.168.7.20", seen=("127.0.0.1:4433",)) == ["127.0.0.1", "192.168.7.20"]
    assert dialled("127.0.0.1", seen=("[::1]:4433",)) == ["::1", "127.0.0.1"]


def test_a_mapped_address_is_seen_as_what_it_is() -> None:
    assert dialled(seen=("[::ffff:127.0.0.1]:4433",)) == ["127.0.0.1"]
    assert dialled("::ffff:192.168.7.5") == ["192.168.7.5"]


def test_at_most_four_addresses_are_dialled_and_each_once() -> None:
    many = [f"192.168.7.{n}" for n in range(30, 60)]

    assert dialled(*many) == many[:MOST_ADDRESSES]
    assert dialled(*many, seen=tuple(f"203.0.113.{n}:1" for n in range(9))) == [f"203.0.113.{n}" for n in range(4)]
    assert dialled("192.168.7.5", "192.168.7.5", seen=("192.168.7.5:9",)) == ["192.168.7.5"]


@pytest.mark.parametrize("port", [0, 22, 80, 443, 1023, 65536, -1])
def test_ports_of_services_are_not_dialled(port: int) -> None:
    assert dialled("192.168.7.5", seen=("192.168.7.6:4433",), port=port) == []


def test_the_kernel_knows_our_loopback() -> None:
    found = surroundings()

    assert ipaddress.ip_address("127.0.0.1") in found.own
    assert ipaddress.ip_network("127.0.0.0/8") in found.networks
    assert not any(address.is_loopback or address.is_link_local for address in found.offered())
