"""Lanes beside the loopback links of a share and its receivers, for tests that do not look at what a lane is."""

from __future__ import annotations

import threading
from collections.abc import Callable

from blixard.model.structs import JsonObject
from blixard.peer.ports import Link
from support.link_conformance import SOON
from support.loopback import LoopbackLink
from support.peers import World


class LoopbackLane:
    """A lane over another loopback link, which the client dials when both have begun."""

    kind = "tcp"

    def __init__(self, dial: Callable[[], LoopbackLink] | None) -> None:
        self._dial = dial
        self.link: LoopbackLink | None = None
        self.began = threading.Event()

    def offer(self) -> JsonObject:
        return {"token": "00"}

    def begin(self, theirs: JsonObject, stands: Callable[[Link], None]) -> None:
        assert theirs == {"token": "00"}
        self.stands = stands
        self.began.set()
        if self._dial is not None:
            self.link = self._dial()
            stands(self.link)

    def close(self) -> None:
        if self.link is not None:
            self.link.close()


class LaneWorld:
    """A share whose sessions have lanes."""

    def __init__(self, here: World) -> None:
        self.servers: list[LoopbackLane] = []
        self.clients: list[LoopbackLane] = []
        self._here = here
        self._listener = here.endpoint("1a" * 32).listen()
        self._caller = here.endpoint("1b" * 32)

    def of_server(self, _link: Link) -> LoopbackLane:
        self.servers.append(LoopbackLane(None))
        return self.servers[-1]

    def of_client(self, _link: Link) -> LoopbackLane:
        self.clients.append(LoopbackLane(self._connect))
        return self.clients[-1]

    def of_client_later(self, _link: Link) -> LoopbackLane:
        """One that stands after `connect`."""
        self.clients.append(LoopbackLane(None))
        return self.clients[-1]

    def connect(self) -> None:
        """What a lane of a client that was to stand later waits for."""
        lane = self.clients[-1]
        assert lane.began.wait(SOON)
        lane.link = self._connect()
        lane.stands(lane.link)

    def _connect(self) -> LoopbackLink:
        ours = self._caller.connect("1a" * 32, timeout=SOON)
        theirs = self._listener.accept(SOON)
        assert theirs is not None
        ours.kind = theirs.kind = "tcp"
        lane = self.servers[-1]
        assert lane.began.wait(SOON)
        lane.link = theirs
        lane.stands(theirs)
        return ours
