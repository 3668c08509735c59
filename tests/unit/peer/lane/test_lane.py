from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time

import pytest

from blixard.errors import PeerUnreachable, StorageError, TransferError
from blixard.model.addresses import SocketAddress, parse_address
from blixard.peer.lane.addresses import Surroundings
from blixard.peer.lane.dial import Tuning
from blixard.peer.lane.lane import LaneHost
from blixard.peer.lane.link import CONNECTIONS
from blixard.peer.pace.rate import RateLimit
from blixard.peer.ports import Link
from support.lanes import FAR_ID, NEAR_ID, SessionLink, Side, two_sides, without_dialling
from support.link_conformance import Started, no_thread_left, received

SECONDS = 10.0
MIB = 1 << 20


def agreed(near: Side, far: Side) -> None:
    theirs, ours = far.lane.offer(), near.lane.offer()
    far.begin(ours)
    near.begin(theirs)


def opened(near: Side, far: Side) -> None:
    """A frame goes through."""
    channel = near.link().open(SECONDS)
    channel.send({"n": 1})
    assert received(far.link().accept(SECONDS))[0] == {"n": 1}


@pytest.mark.parametrize(("near_id", "far_id"), [(NEAR_ID, FAR_ID), (FAR_ID, NEAR_ID)])
def test_both_sides_are_told_of_one_and_the_same_lane_though_both_dial(near_id: str, far_id: str) -> None:
    for _ in range(5):
        with no_thread_left(), two_sides(near_id, far_id) as (near, far):
            agreed(near, far)
            opened(near, far)

            assert near.told.empty()
            assert far.told.empty()


@pytest.mark.parametrize(("near_id", "far_id"), [(NEAR_ID, FAR_ID), (FAR_ID, NEAR_ID)])
@pytest.mark.parametrize("dialler", ["near", "far"])
def test_one_direction_is_enough(near_id: str, far_id: str, dialler: str) -> None:
    with no_thread_left(), two_sides(near_id, far_id) as (near, far):
        theirs, ours = far.lane.offer(), near.lane.offer()
        far.begin(without_dialling(ours) if dialler == "near" else ours)
        near.begin(without_dialling(theirs) if dialler == "far" else theirs)

        opened(near, far)


def test_a_peer_that_learns_our_certificate_a_moment_later_is_dialled_again() -> None:
    with no_thread_left(), two_sides() as (near, far):
        theirs, ours = far.lane.offer(), near.lane.offer()
        near.begin(theirs)
        deadline = time.monotonic() + SECONDS
        while near.lane.problem is None:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        far.begin(without_dialling(ours))

        opened(near, far)


def test_a_lane_begins_once() -> None:
    with no_thread_left(), two_sides() as (near, far):
        theirs = far.lane.offer()
        agreed(near, far)
        opened(near, far)
        near.begin(theirs)

        assert near.told.empty()


def test_several_sessions_share_one_port_and_do_not_mix() -> None:
    with no_thread_left():
        far = Side(FAR_ID, NEAR_ID)
        ids = [f"{n:02x}" * 32 for n in range(1, 5)]
        clients = [Side(own, FAR_ID) for own in ids]
        told: dict[str, queue.Queue[Link]] = {}
        for own, client in zip(ids, clients, strict=True):
            lane, told[own] = far.host.lane(SessionLink(FAR_ID, own)), queue.Queue()
            stated = lane.offer()
            lane.begin(without_dialling(client.lane.offer()), told[own].put)
            client.begin(stated)
        for number, client in enumerate(clients):
            channel = client.link().open(SECONDS)
            channel.send({"n": number})
            ours = told[ids[number]].get(timeout=SECONDS)
            assert received(ours.accept(SECONDS))[0] == {"n": number}

        for side in (*clients, far):
            side.close()


def test_a_lane_gives_a_bounded_number_of_connections_and_takes_them_back() -> None:
    with no_thread_left(), two_sides() as (near, far):
        far.begin(without_dialling(near.lane.offer()))
        near.begin(far.lane.offer())
        link = near.link()
        channels = [link.open(SECONDS) for _ in range(CONNECTIONS)]

        with pytest.raises(PeerUnreachable, match=str(CONNECTIONS)):
            link.open(SECONDS)
        channels[0].close()
        link.open(SECONDS)


def test_the_reason_of_a_close_is_told() -> None:
    with no_thread_left(), two_sides() as (near, far):
        agreed(near, far)
        accepting = Started(lambda: far.link().accept(None))
        near.link().close("enough")

        with pytest.raises(PeerUnreachable, match="`enough`"):
            accepting.result()


def test_a_closed_host_closes_its_lanes() -> None:
    with no_thread_left(), two_sides() as (near, far):
        agreed(near, far)
        accepting = Started(lambda: far.link().accept(None))
        near.link()
        near.host.close()
        near.host.close()

        with pytest.raises(PeerUnreachable):
            accepting.result()


def test_a_closed_lane_begins_nothing() -> None:
    with no_thread_left(), two_sides() as (near, far):
        near.lane.close()
        agreed(near, far)

        assert near.told.empty()
        with pytest.raises(queue.Empty):
            far.told.get(timeout=0.2)


def test_both_lanes_keep_to_one_rate() -> None:
    limit = RateLimit(4e6)
    with no_thread_left(), two_sides(tuning=Tuning(sending=limit)) as (near, far):
        agreed(near, far)
        link, other = near.link(), far.link()
        began = time.monotonic()
        pairs = [(link.open(SECONDS), other.accept(SECONDS)) for _ in range(2)]
        sendings = [Started(lambda out=out: out.send({}, bytes(MIB))) for out, _ in pairs]  # type: ignore[misc]
        for _, into in pairs:
            assert len(received(into)[1]) == MIB
        for sending in sendings:
            sending.result()

    assert time.monotonic() - began > 2 * MIB / 4e6 - 0.15


def test_a_receiver_keeps_to_its_rate_too() -> None:
    with no_thread_left():
        near = Side(NEAR_ID, FAR_ID, tuning=Tuning(receiving=RateLimit(4e6)))
        far = Side(FAR_ID, NEAR_ID)
        agreed(near, far)
        channel = near.link().open(SECONDS)
        theirs = far.link().accept(SECONDS)
        began = time.monotonic()
        sending = Started(lambda: theirs.send({}, bytes(2 * MIB)))
        assert len(received(channel)[1]) == 2 * MIB
        assert time.monotonic() - began > 2 * MIB / 4e6 - 0.15
        sending.result()
        near.close()
        far.close()


def test_an_offer_names_what_others_can_reach() -> None:
    around = Surroundings(
        own=tuple(ipaddress.ip_address(text) for text in ("127.0.0.1", "fe80::1", "192.168.7.20", "::1"))
    )
    everywhere = LaneHost(around=lambda: around)
    advertised = LaneHost(advertise=parse_address("203.0.113.7:40000"), around=lambda: around)
    one = LaneHost(listen=parse_address("127.0.0.1:0"), around=lambda: around)
    session = SessionLink(NEAR_ID, FAR_ID)

    assert everywhere.lane(session).offer()["addresses"] == ("192.168.7.20",)
    assert everywhere.lane(session).offer()["port"] == everywhere.listener.address.port
    assert (advertised.where()[0][0].exploded, advertised.where()[1]) == ("203.0.113.7", 40000)
    assert one.lane(session).offer()["addresses"] == ("127.0.0.1",)
    for host in (everywhere, advertised, one):
        host.close()


def test_each_session_has_a_token_of_its_own() -> None:
    with two_sides() as (near, _):
        again = near.host.lane(SessionLink(NEAR_ID, FAR_ID)).offer()

        assert again["token"] != near.lane.offer()["token"]
        assert again["certificate"] == near.lane.offer()["certificate"]


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StorageError, match="in use") as problem:
        LaneHost(listen=SocketAddress.of(taken.getsockname()))

    assert "--p2p-listen" in str(problem.value.hint)


def test_a_peer_that_hangs_up_while_we_dial_is_no_lane() -> None:
    with no_thread_left(), socket.create_server(("127.0.0.1", 0)) as rude:
        side = Side(NEAR_ID, FAR_ID)
        side.begin({**side.lane.offer(), "port": rude.getsockname()[1]})
        rude.accept()[0].close()
        side.close()

    with pytest.raises(queue.Empty):
        side.told.get_nowait()


def test_a_channel_says_that_it_is_closed_and_not_what_the_library_felt() -> None:
    with no_thread_left(), two_sides() as (near, far):
        agreed(near, far)
        channel = near.link().open(SECONDS)
        channel.close()

        with pytest.raises(TransferError, match="closed"):
            channel.finish()
