from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blixard.model.addresses import parse_address
from blixard.peer.wire.addresses import MOST, companion, parse_remote, to_advertise


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_remote(text)
    except ValueError:
        return
    assert parse_remote(str(address)) == address


NOBODYS = ["1.2.3.4:0", "0.0.0.0:1", "[::]:1", "224.0.0.9:1", "[ff02::1]:1", "255.255.255.255:1"]
DISGUISED = ["[::ffff:0.0.0.0]:1", "[::ffff:224.0.0.9]:1", "[::ffff:255.255.255.255]:1"]


@pytest.mark.parametrize("text", [*NOBODYS, *DISGUISED])
def test_what_no_host_can_have_is_nobodys_address(text: str) -> None:
    parse_address(text)

    with pytest.raises(ValueError, match="nobody"):
        parse_remote(text)


def test_told_to_listen_on_one_address_only_that_one_is_advertised() -> None:
    bound = ["192.0.2.1:7000", "[::1]:50000"]

    assert to_advertise(bound, ["192.0.2.1:7000", "[::1]:50000"], parse_address("192.0.2.1:0")) == ("192.0.2.1:7000",)


def test_loopback_and_link_local_addresses_are_of_no_use_to_others() -> None:
    found = ["127.0.0.1:7000", "[fe80::1]:7001", "192.0.2.1:7000", "192.0.2.1:7000", "[2001:db8::1]:7001"]

    assert to_advertise(["0.0.0.0:7000", "[::]:7001"], found, None) == ("192.0.2.1:7000", "[2001:db8::1]:7001")


def test_a_host_without_a_network_is_reached_by_itself() -> None:
    assert to_advertise(["0.0.0.0:7000", "[::]:7001"], ["127.0.0.1:7000"], None) == ("127.0.0.1:7000",)


def test_a_host_with_many_interfaces_names_some_of_them() -> None:
    found = [f"10.0.0.{n}:7000" for n in range(100)]

    assert to_advertise(["0.0.0.0:7000"], found, None) == tuple(found[:MOST])


@pytest.mark.parametrize(
    ("listen", "other"),
    [
        ("192.0.2.1:7000", "[::1]:0"),
        ("[2001:db8::1]:7000", "127.0.0.1:0"),
        ("0.0.0.0:7000", "[::]:7000"),
        ("[::]:7", "0.0.0.0:7"),
    ],
)
def test_the_other_family_is_bound_where_it_does_no_harm(listen: str, other: str) -> None:
    found = companion(parse_address(listen))

    assert found is None or str(found) == other
    assert found is not None or other.startswith("[")  # a kernel without IPv6
