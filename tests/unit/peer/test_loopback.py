from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import Struct

from blixard.errors import PeerMisbehaved
from blixard.limits import KIB, MIB
from support.link_conformance import SOON, EndpointConformance, LinkConformance, no_thread_left
from support.loopback import LoopbackEndpoint, LoopbackLink, LoopbackNetwork

NEAR, FAR = "aa" * 32, "bb" * 32


class Pair(Struct, frozen=True):
    near: LoopbackLink
    far: LoopbackLink

    def cut(self) -> None:
        self.near.cut()


class Endpoints(Struct, frozen=True):
    near: LoopbackEndpoint
    far: LoopbackEndpoint

    def unknown_id(self) -> str:
        return "cc" * 32


def make_endpoints() -> Endpoints:
    network = LoopbackNetwork(capacity=256 * KIB)
    return Endpoints(network.endpoint(NEAR), network.endpoint(FAR))


def make_pair(endpoints: Endpoints) -> Pair:
    listener = endpoints.far.listen()
    near = endpoints.near.connect(FAR, timeout=SOON)
    far = listener.accept(SOON)
    assert far is not None
    return Pair(near, far)


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    made = make_endpoints()
    with no_thread_left():
        yield made
        made.near.close()
        made.far.close()


class TestLoopbackLink(LinkConformance):
    swallows = 4 * MIB

    @pytest.fixture
    def pair(self, endpoints: Endpoints) -> Pair:
        return make_pair(endpoints)


class TestLoopbackEndpoint(EndpointConformance):
    pass


def test_bytes_that_are_no_frames_are_a_misbehaving_peer(endpoints: Endpoints) -> None:
    pair = make_pair(endpoints)
    near = pair.near.open(SOON)
    near.raw(b"GET / HTTP/1.1\r\n\r\n")
    far = pair.far.accept(SOON)

    with pytest.raises(PeerMisbehaved):
        far.receive(SOON)
