"""A node goes without what cannot be had, and says so."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from blixard.home import Home
from blixard.peer.node_key import hold_node_key
from blixard.site.config import LaneChoice
from blixard.site.network import NetworkSettings, peer_id
from support.link_conformance import SOON, Started

LOOPBACK = "127.0.0.1:0"


def test_a_lane_that_cannot_listen_is_done_without(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        network = NetworkSettings(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with network.node(Home(tmp_path), "test") as node:
            assert node.endpoint.addresses() == (network.listen,)

    assert node.lanes is None
    [warning] = node.warnings
    assert "no direct lane" in warning
    assert f"`{network.listen}`" in warning
    assert "--lane iroh" in warning


def test_a_node_that_is_in_use_is_waited_for(tmp_path: Path) -> None:
    home = Home(tmp_path)
    network = NetworkSettings(listen=LOOPBACK, lane=LaneChoice.IROH, lock_wait=SOON)
    with ExitStack() as stack:
        before = stack.enter_context(hold_node_key(home, "cluster share"))
        begun = Started(lambda: stack.enter_context(network.node(home, "cluster fetch")))
        assert not begun.is_done_within(0.1)
        before.close()

        assert begun.result().endpoint.id == peer_id(home)


def test_a_lane_that_is_not_wanted_is_not_missed(tmp_path: Path) -> None:
    with NetworkSettings(listen=LOOPBACK, lane=LaneChoice.IROH).node(Home(tmp_path), "test") as node:
        assert node.lanes is None

    assert node.warnings == ()


def test_a_relay_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        network = NetworkSettings(listen=LOOPBACK, relay=url, relay_seconds=0.1)
        with network.node(Home(tmp_path), "test") as node:
            assert node.lanes is not None

    assert node.relay is None
    [warning] = node.warnings
    assert f"the relay `{url}` did not answer" in warning
