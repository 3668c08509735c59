from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint, endpoint_id
from blixard.peer.iroh.link import IrohLink
from blixard.peer.ports import Endpoint, Link
from support.link_conformance import EndpointConformance, LinkConformance, connected, no_thread_left

HERE = EndpointOptions(listen="127.0.0.1:0")


class IrohPair:
    """Two endpoints in this process, and a link between them when it is asked for."""

    def __init__(self) -> None:
        self.near: Endpoint = IrohEndpoint(secrets.token_bytes(32), HERE)
        self.far: Endpoint = IrohEndpoint(secrets.token_bytes(32), HERE)

    def unknown_id(self) -> str:
        return endpoint_id(secrets.token_bytes(32))

    def close(self) -> None:
        self.near.close()
        self.far.close()


class IrohLinkPair:
    def __init__(self, endpoints: IrohPair) -> None:
        self.near: Link
        self.far: Link
        self.near, self.far = connected(endpoints, endpoints.far.listen())

    def cut(self) -> None:
        # Iroh notices silence after 30 s only (a kill too); at once it notices what an ending process tells it
        assert isinstance(self.near, IrohLink)
        self.near.connection.close(1, b"")


@pytest.fixture
def endpoints() -> Iterator[IrohPair]:
    with no_thread_left():
        pair = IrohPair()
        yield pair
        pair.close()


class TestIrohLink(LinkConformance):
    @pytest.fixture
    def pair(self, endpoints: IrohPair) -> IrohLinkPair:
        return IrohLinkPair(endpoints)


class TestIrohEndpoint(EndpointConformance):
    pass
