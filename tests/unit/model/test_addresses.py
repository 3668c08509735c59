from __future__ import annotations

import pytest

from blixard.model.addresses import SocketAddress, is_bind_address, parse_address, parse_ip, seen_ip


@pytest.mark.parametrize("text", ["192.0.2.1:7000", "[2001:db8::1]:7000", "127.0.0.1:1", "[::1]:65535", "0.0.0.0:0"])
def test_an_address_is_read_and_written_alike(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "1.2.3:5", "01.2.3.4:5", "1.2.3.4:-5"),
        *("::1:5", "[1.2.3.4]:5", "[fe80::1%eth0]:5", "[::1]5", "localhost:5", "1.2.3.4:5\n", "1.2.3.4:\u0665"),
    ],
)
def test_what_is_no_address_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_address(text)


@pytest.mark.parametrize("text", ["", "x", "relay.example:443", "loopback:abcdef12", "1.2.3.4", "1.2.3.4:", "[::1]"])
def test_what_is_no_address_with_a_port_is_no_place(text: str) -> None:
    assert seen_ip(text) is None


def test_an_address_may_be_seen_with_a_zone() -> None:
    assert str(seen_ip("[fe80::1%2]:4433")) == "fe80::1%2"


def test_an_ipv4_address_inside_an_ipv6_one_is_what_it_is() -> None:
    assert parse_ip("::ffff:192.0.2.1") == parse_ip("192.0.2.1") == seen_ip("[::ffff:192.0.2.1]:7")


def test_what_a_socket_says_of_its_end_is_an_address() -> None:
    assert str(SocketAddress.of(("192.0.2.1", 7))) == "192.0.2.1:7"
    assert str(SocketAddress.of(("::ffff:192.0.2.1", 7, 0, 0))) == "192.0.2.1:7"
    assert str(SocketAddress.of(("fe80::1%eth0", 7, 0, 2))) == "[fe80::1]:7"


@pytest.mark.parametrize("text", ["10.0.0.2:7000", "[fd00::2]:7000", "host-7.example:0", "host:65535"])
def test_a_node_may_be_bound_at_a_name(text: str) -> None:
    assert is_bind_address(text)


@pytest.mark.parametrize("text", ["", "host", "host:", "host:65536", "host:-1", "a b:7", "fd00::2:7000", "a/b:7"])
def test_a_node_is_bound_at_a_host_and_a_port(text: str) -> None:
    assert not is_bind_address(text)


def test_addresses_are_values() -> None:
    assert parse_address("192.0.2.1:7") == SocketAddress(parse_address("192.0.2.1:8").ip, 7)
