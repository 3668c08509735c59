"""Lanes between two hosts of one process, agreed on as two peers would over their Iroh connection."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from blixard.model.addresses import LOOPBACK, SocketAddress
from blixard.model.structs import JsonObject
from blixard.peer.lane.dial import Tuning
from blixard.peer.lane.lane import LaneHost, TcpLane
from blixard.peer.lane.link import LaneLink
from blixard.peer.ports import Channel, Link

NEAR_ID = "aa" * 32
FAR_ID = "bb" * 32
SECONDS = 10.0


class SessionLink:
    """What a lane looks at in the link of its session: who the ends are and where the peer was seen."""

    kind = "iroh"

    def __init__(self, local_id: str, remote_id: str, seen: tuple[str, ...] = ("127.0.0.1:4433",)) -> None:
        self.local_id = local_id
        self.remote_id = remote_id
        self.remote_addresses = seen

    def open(self, timeout: float | None) -> Channel:
        raise NotImplementedError

    def accept(self, timeout: float | None) -> Channel:
        raise NotImplementedError

    def close(self, reason: str = "") -> None:
        raise NotImplementedError


class Side:
    """One peer: its host, its lane, and the lanes that it was told to stand."""

    def __init__(self, local_id: str, remote_id: str, *, tuning: Tuning | None = None) -> None:
        self.host = LaneHost(listen=SocketAddress(LOOPBACK[4], 0), tuning=tuning)
        self.lane: TcpLane = self.host.lane(SessionLink(local_id, remote_id))
        self.told: queue.Queue[Link] = queue.Queue()

    def begin(self, theirs: JsonObject) -> None:
        self.lane.begin(theirs, self.told.put)

    def link(self) -> LaneLink:
        told = self.told.get(timeout=SECONDS)
        assert isinstance(told, LaneLink)
        return told

    def close(self) -> None:
        self.host.close()


@contextmanager
def two_sides(
    near_id: str = NEAR_ID, far_id: str = FAR_ID, tuning: Tuning | None = None
) -> Iterator[tuple[Side, Side]]:
    """Two peers that have not talked yet."""
    near, far = Side(near_id, far_id, tuning=tuning), Side(far_id, near_id, tuning=tuning)
    try:
        yield near, far
    finally:
        near.close()
        far.close()


def without_dialling(offer: JsonObject) -> JsonObject:
    """The offer of a peer whose port a firewall closes to us: whoever gets it can only listen."""
    return {**offer, "port": unused_port()}


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
