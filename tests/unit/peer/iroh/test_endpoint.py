from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import pytest

from blixard.errors import ExitCode, PeerMisbehaved, PeerUnreachable, TransferError, UsageError
from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint, endpoint_id
from blixard.peer.iroh.listener import BACKLOG, IrohListener
from blixard.peer.ports import Link
from support.link_conformance import EndpointPair, Started, connected, no_thread_left, opened, received

LOCAL = EndpointOptions(listen="127.0.0.1:0")
STRANGE = EndpointOptions(listen="127.0.0.1:0", protocol=b"another/1")


class Pair:
    """Two endpoints of this process."""

    def __init__(self, near: IrohEndpoint, far: IrohEndpoint) -> None:
        self.near = near
        self.far = far

    def unknown_id(self) -> str:
        return endpoint_id(secrets.token_bytes(32))


def an_endpoint(options: EndpointOptions = LOCAL) -> IrohEndpoint:
    return IrohEndpoint(secrets.token_bytes(32), options)


@contextmanager
def a_pair() -> Iterator[Pair]:
    with an_endpoint() as near, an_endpoint() as far:
        yield Pair(near, far)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with no_thread_left(), a_pair() as made:
        yield made


def linked(pair: Pair, listener: IrohListener) -> tuple[Link, Link]:
    return connected(cast("EndpointPair", pair), listener)


def greet(pair: Pair) -> None:
    """Connect, exchange one frame, and part."""
    listener = pair.far.listen()
    near, far = linked(pair, listener)
    ours, theirs = opened(near, far)
    theirs.send({"n": 1})
    assert received(ours)[0] == {"n": 1}
    near.close()
    listener.close()


def test_an_endpoint_has_the_id_of_its_key() -> None:
    secret = secrets.token_bytes(32)

    with IrohEndpoint(secret, LOCAL) as endpoint:
        assert endpoint.id == endpoint_id(secret)
    assert len(bytes.fromhex(endpoint.id)) == 32


def test_all_works_again_after_the_last_one_was_closed_and_no_thread_is_left() -> None:
    for _ in range(3):
        with no_thread_left(), a_pair() as made:
            greet(made)


def test_a_port_can_be_bound_again_once_its_endpoint_is_closed() -> None:
    with an_endpoint() as first:
        first.listen()
        address = first.addresses()[0]

    with an_endpoint(EndpointOptions(listen=address)) as second:
        assert second.addresses() == (address,)


def test_a_port_in_use_fails_the_node_with_a_next_step() -> None:
    with an_endpoint() as first, no_thread_left():
        address = first.addresses()[0]
        with pytest.raises(TransferError) as caught:
            an_endpoint(EndpointOptions(listen=address))

    assert caught.value.message == (f"failed to create Iroh node: cannot bind on `{address}`: address already in use")
    assert "--p2p-listen" in (caught.value.hint or "")
    assert caught.value.exit_code is ExitCode.TRANSFER


@pytest.mark.parametrize(
    "text", ["", "7400", "host:7400", "127.0.0.1", "127.0.0.1:99999", "::1:7", "[::1", "1.2.3.4.5:6"]
)
def test_an_option_that_is_no_address_is_a_usage_error(text: str) -> None:
    with no_thread_left():
        with pytest.raises(UsageError, match=r"p2p\.listen"):
            an_endpoint(EndpointOptions(listen=text))
        with pytest.raises(UsageError, match=r"p2p\.advertise"):
            an_endpoint(EndpointOptions(advertise=(text,)))


@pytest.mark.parametrize("text", ["192.0.2.7:0", "0.0.0.0:7400", "[::]:7400", "224.0.0.1:7400"])
def test_what_nobody_can_call_is_not_advertised(text: str) -> None:
    with no_thread_left(), pytest.raises(UsageError, match=r"p2p\.advertise.*nobody can have this address"):
        an_endpoint(EndpointOptions(advertise=(text,)))


def test_a_relay_that_is_no_url_is_a_usage_error() -> None:
    with no_thread_left(), pytest.raises(UsageError, match=r"p2p\.relay"):
        an_endpoint(EndpointOptions(relay="nonsense"))


def test_told_to_listen_on_loopback_it_opens_no_socket_elsewhere() -> None:
    with an_endpoint() as endpoint:
        bound = endpoint.sockets()

    assert all(each.startswith(("127.0.0.1:", "[::1]:")) for each in bound)


def test_what_is_to_be_advertised_comes_first() -> None:
    with an_endpoint(EndpointOptions(listen="127.0.0.1:0", advertise=("203.0.113.9:7400",))) as endpoint:
        first, second = endpoint.addresses()

    assert first == "203.0.113.9:7400"
    assert second.startswith("127.0.0.1:")


def test_a_node_on_every_interface_names_addresses_that_others_can_use() -> None:
    with an_endpoint(EndpointOptions()) as endpoint:
        addresses = endpoint.addresses()

    assert addresses
    assert not any(each.startswith(("0.0.0.0:", "[::]:", "[fe80:")) for each in addresses)
    assert all(int(each.rpartition(":")[2]) > 0 for each in addresses)


def test_who_does_not_listen_is_not_found(pair: Pair) -> None:
    with pytest.raises(PeerUnreachable, match="no answer from the peer"):
        pair.near.connect(pair.far.id, pair.far.addresses(), None, 0.3)


def test_a_silent_address_is_unreachable_when_the_time_is_over(pair: Pair) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        asking = Started(lambda: pair.near.connect(pair.unknown_id(), (address,), None, 0.3))

        with pytest.raises(PeerUnreachable, match=address) as caught:
            asking.result(5)
    assert "firewall" in (caught.value.hint or "")


def test_another_node_at_the_address_is_told_apart(pair: Pair) -> None:
    pair.far.listen()

    with pytest.raises(PeerUnreachable, match="another node answers there"):
        pair.near.connect(pair.unknown_id(), pair.far.addresses(), None, 5)


def test_a_node_that_speaks_something_else_is_not_asked_again(pair: Pair) -> None:
    with an_endpoint(STRANGE) as other:
        other.listen()

        with pytest.raises(PeerMisbehaved, match="does not speak `blixard/export/1`"):
            pair.near.connect(other.id, other.addresses(), None, 5)


def test_a_caller_who_speaks_something_else_does_not_end_the_listening(pair: Pair) -> None:
    listener = pair.far.listen()
    with an_endpoint(STRANGE) as other:
        for _ in range(3):
            with pytest.raises(PeerMisbehaved):
                other.connect(pair.far.id, listener.addresses(), None, 5)

    linked(pair, listener)


def test_datagrams_of_strangers_do_not_end_the_listening(pair: Pair) -> None:
    listener = pair.far.listen()
    host, _, port = listener.addresses()[0].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for size in (0, 1, 21, 1200, 1200, 1452):
            stranger.sendto(secrets.token_bytes(size), (host, int(port)))
            stranger.sendto(b"\xc0\0\0\0\x01" + secrets.token_bytes(size), (host, int(port)))

    linked(pair, listener)


def test_nobody_connects_to_itself(pair: Pair) -> None:
    with pytest.raises(TransferError, match="this very node"):
        pair.near.connect(pair.near.id, pair.near.addresses(), None, 5)


@pytest.mark.parametrize(
    "address", ["", "host:1", "127.0.0.1:0", "0.0.0.0:5", "[::]:5", "224.0.0.1:5", "[ff02::1]:5", "255.255.255.255:5"]
)
def test_an_address_that_nobody_can_have_is_refused_before_the_network_hears_of_it(pair: Pair, address: str) -> None:
    with pytest.raises(TransferError, match="makes no sense"):
        pair.near.connect(pair.unknown_id(), (address,), None, 5)


@pytest.mark.parametrize("name", ["", "00", "g" * 64, "00" * 33])
def test_an_id_that_is_none_is_refused(pair: Pair, name: str) -> None:
    with pytest.raises(TransferError, match="endpoint id makes no sense"):
        pair.near.connect(name, ("127.0.0.1:9",), None, 5)


def test_without_relays_a_ticket_that_names_one_makes_us_talk_to_nobody(pair: Pair) -> None:
    asking = Started(lambda: pair.near.connect(pair.unknown_id(), (), "https://relay.example", None))

    with pytest.raises(PeerUnreachable, match="no direct address") as caught:
        asking.result(1)
    assert "p2p.relay" in (caught.value.hint or "")
    assert pair.near.relay_url(0.1) is None


def test_the_reason_of_a_close_reaches_the_peer(pair: Pair) -> None:
    near, far = linked(pair, pair.far.listen())
    channel, _ = opened(near, far)
    receiving = Started(lambda: channel.receive(None))
    far.close("the share has ended")

    with pytest.raises(PeerUnreachable, match="the share has ended"):
        receiving.result()


def test_closing_the_endpoint_wakes_whoever_connects(pair: Pair) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        asking = Started(lambda: pair.near.connect(pair.unknown_id(), (address,), None, None))
        assert not asking.is_done_within(0.1)
        pair.near.close()

        with pytest.raises(TransferError):
            asking.result()


@contextmanager
def one_way(address: str) -> Iterator[str]:
    """An address whose datagrams come to `address`, and nothing comes back: as of callers with others' addresses."""
    host, port = address.rsplit(":", 1)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taking,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as giving,
    ):
        taking.bind(("127.0.0.1", 0))
        giving.bind(("127.0.0.1", 0))
        over = threading.Event()

        def carry() -> None:
            while not over.is_set():
                giving.sendto(taking.recv(65536), (host, int(port)))

        thread = threading.Thread(target=carry)
        thread.start()
        try:
            yield f"127.0.0.1:{taking.getsockname()[1]}"
        finally:
            over.set()
            giving.sendto(b"", taking.getsockname())
            thread.join()


def test_callers_that_do_not_show_where_they_are_keep_no_other_out(pair: Pair) -> None:
    listener = pair.far.listen()
    (address,) = pair.far.addresses()
    with one_way(address) as nowhere:

        def call() -> None:
            pair.near.connect(pair.far.id, (nowhere,), None, 8)

        callers = [Started(call) for _ in range(80)]
        assert not callers[-1].is_done_within(2)
        with an_endpoint() as other:
            link = other.connect(pair.far.id, (address,), None, 5)
            taken = listener.accept(5)
            assert taken is not None
            assert taken.remote_id == other.id
            link.close()
        assert pair.far.greeting <= 16
        for each in callers:
            with pytest.raises(PeerUnreachable):
                each.result()


def test_more_callers_than_the_backlog_holds_are_sent_away_and_the_next_ones_are_served() -> None:
    with no_thread_left(), a_pair() as pair:
        listener = pair.far.listen()
        gone = threading.Semaphore(0)

        def call() -> None:
            with suppress(TransferError):
                pair.near.connect(pair.far.id, listener.addresses(), None, 20).accept(20)
            gone.release()

        threads = [threading.Thread(target=call) for _ in range(BACKLOG + 36)]
        for thread in threads:
            thread.start()
        for _ in range(36):
            assert gone.acquire(timeout=20)
        served = 0
        while any(thread.is_alive() for thread in threads):
            link = listener.accept(0.2)
            if link is not None:
                served += 1
                link.close("seen")

        assert 1 <= served <= BACKLOG
        linked(pair, listener)


def test_a_link_that_is_over_still_says_whom_it_reached(pair: Pair) -> None:
    near, far = linked(pair, pair.far.listen())
    assert near.remote_addresses
    near.close()
    with pytest.raises(TransferError):
        far.accept(10)

    assert isinstance(near.remote_addresses, tuple)
    assert (near.remote_id, far.remote_id) == (pair.far.id, pair.near.id)
