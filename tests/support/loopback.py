"""Peers within one process: links, listeners and endpoints of `channel.py` on a network that is an object.

What the protocol above does is seen without sockets, ports and clocks; the conformance suite keeps it honest.
"""

from __future__ import annotations

import threading
from collections import deque

from blixard.errors import PeerUnreachable, TransferError
from blixard.limits import MIB
from blixard.peer.pace.deadline import Deadline
from blixard.peer.ports import STALL_SECONDS
from support.loopback_channel import LoopbackChannel, Pipe, Ready

BACKLOG = 16
"""Channels of one link that wait to be accepted."""
LINKS = 64
"""Links of one listener that wait to be accepted."""


class LoopbackNetwork:
    """Endpoints that can reach each other.

    Args:
        capacity: bytes that a channel holds in each direction before the sender waits.
        stall: seconds that a sender waits for a peer that takes nothing.
    """

    def __init__(self, *, capacity: int = MIB, stall: float = STALL_SECONDS) -> None:
        self.capacity = capacity
        self.stall = stall
        self._lock = threading.Lock()
        self._listeners: dict[str, LoopbackListener] = {}

    def endpoint(self, endpoint_id: str) -> LoopbackEndpoint:
        """A new identity: 64 hex digits of the caller's choice."""
        return LoopbackEndpoint(self, endpoint_id)

    def listener(self, endpoint_id: str) -> LoopbackListener | None:
        """Who takes links for that endpoint."""
        with self._lock:
            return self._listeners.get(endpoint_id)

    def enter(self, endpoint_id: str, listener: LoopbackListener) -> None:
        """From now on links to that endpoint go there."""
        with self._lock:
            self._listeners[endpoint_id] = listener


class LoopbackEndpoint:
    """As `Endpoint`."""

    def __init__(self, network: LoopbackNetwork, endpoint_id: str) -> None:
        self.id = endpoint_id
        self._network = network
        self._lock = threading.Lock()
        self._links: list[LoopbackLink] = []
        self._listener: LoopbackListener | None = None
        self._closed = False

    def connect(
        self,
        endpoint_id: str,
        addresses: tuple[str, ...] = (),  # noqa: ARG002 - one network, one address
        relay: str | None = None,  # noqa: ARG002
        timeout: float | None = None,
    ) -> LoopbackLink:
        """As `Endpoint.connect`."""
        ours, theirs = _pair(self._network, self.id, endpoint_id)
        self.keep(ours)
        listener = self._network.listener(endpoint_id)
        if listener is None:
            raise PeerUnreachable(f"nobody answers as `{endpoint_id}`")
        listener.deliver(theirs, Deadline(timeout))
        return ours

    def listen(self) -> LoopbackListener:
        """As `Endpoint.listen`."""
        with self._lock:
            self._check_open()
            self._listener = LoopbackListener(self)
            self._network.enter(self.id, self._listener)
            return self._listener

    @property
    def links(self) -> tuple[LoopbackLink, ...]:
        """Those that were made, the last one last; some may be over."""
        with self._lock:
            return tuple(self._links)

    def stop_listening(self) -> None:
        """Take no more links; those that stand go on."""
        if self._listener is not None:
            self._listener.close()

    def close(self) -> None:
        """As `Endpoint.close`."""
        with self._lock:
            self._closed = True
            links, self._links = self._links, []
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        for link in links:
            link.close()

    def keep(self, link: LoopbackLink) -> None:
        """A link of this endpoint: closed with it."""
        with self._lock:
            self._check_open()
            self._links = [kept for kept in self._links if not kept.over]
            self._links.append(link)

    def _check_open(self) -> None:
        if self._closed:
            raise TransferError("the endpoint is closed")


class LoopbackListener:
    """As `Listener`."""

    def __init__(self, endpoint: LoopbackEndpoint) -> None:
        self._endpoint = endpoint
        self._changed = threading.Condition()
        self._backlog: deque[LoopbackLink] = deque()
        self._closed = False

    def accept(self, timeout: float | None) -> LoopbackLink | None:
        """As `Listener.accept`."""
        deadline = Deadline(timeout)
        with self._changed:
            while not self._backlog and not self._closed and not deadline.passed():
                self._changed.wait(deadline.left())
            if self._closed or not self._backlog:
                return None
            self._changed.notify_all()
            return self._backlog.popleft()

    def deliver(self, link: LoopbackLink, deadline: Deadline) -> None:
        """A peer connects."""
        self._endpoint.keep(link)
        with self._changed:
            while len(self._backlog) >= LINKS and not self._closed:
                if deadline.passed():
                    raise PeerUnreachable("the peer did not answer in time")
                self._changed.wait(deadline.left())
            if self._closed:
                raise PeerUnreachable("the peer takes no links any more")
            self._backlog.append(link)
            self._changed.notify_all()

    def addresses(self) -> tuple[str, ...]:
        """As `Listener.addresses`."""
        return ("127.0.0.1:1",)

    def close(self) -> None:
        """As `Listener.close`."""
        with self._changed:
            self._closed = True
            backlog, self._backlog = self._backlog, deque()
            self._changed.notify_all()
        for link in backlog:
            link.close()


class LoopbackLink:
    """One end of a link; `other` is the peer's end."""

    kind = "loopback"

    def __init__(self, network: LoopbackNetwork, local_id: str, remote_id: str) -> None:
        self.local_id = local_id
        self.remote_id = remote_id
        self.remote_addresses = (f"loopback:{remote_id[:8]}",)
        self.other: LoopbackLink = self
        self._network = network
        self._changed = threading.Condition()
        self._backlog: deque[LoopbackChannel] = deque()
        self._channels: set[LoopbackChannel] = set()
        self._lost: str | None = None

    @property
    def over(self) -> bool:
        """True when it is closed or lost."""
        with self._changed:
            return self._lost is not None

    def is_over_within(self, seconds: float) -> bool:
        """Wait until it is closed or lost."""
        with self._changed:
            return self._changed.wait_for(lambda: self._lost is not None, seconds)

    def open(self, timeout: float | None) -> LoopbackChannel:
        """As `Link.open`."""
        there, back = Pipe(self._network.capacity), Pipe(self._network.capacity)
        ours = LoopbackChannel(back, there, self._network.stall)
        self.other.deliver(LoopbackChannel(there, back, self._network.stall), Deadline(timeout))
        self._keep(ours)
        return ours

    def accept(self, timeout: float | None) -> LoopbackChannel:
        """As `Link.accept`."""
        with self._changed:
            self._wait(Deadline(timeout), lambda: bool(self._backlog))
            self._changed.notify_all()
            return self._backlog.popleft()

    def deliver(self, channel: LoopbackChannel, deadline: Deadline) -> None:
        """The peer opened `channel`."""
        with self._changed:
            self._wait(deadline, lambda: len(self._backlog) < BACKLOG)
            self._backlog.append(channel)
            self._changed.notify_all()
        self._keep(channel)

    def close(self, reason: str = "") -> None:
        """As `Link.close`."""
        self.lose("the link is closed")
        self.other.lose(f"the peer closed the link: `{reason}`" if reason else "the peer closed the link")

    def cut(self) -> None:
        """Both sides notice that the link is lost; for tests."""
        self.lose("the link is lost")
        self.other.lose("the link is lost")

    def lose(self, why: str) -> None:
        """This side of it is gone."""
        with self._changed:
            if self._lost is not None:
                return
            self._lost = why
            channels, self._channels = self._channels, set()
            self._changed.notify_all()
        for channel in channels:
            channel.break_off(why)

    def _keep(self, channel: LoopbackChannel) -> None:
        with self._changed:
            self._channels = {kept for kept in self._channels if not kept.over}
            self._channels.add(channel)
            lost = self._lost
        if lost is not None:
            channel.break_off(lost)

    def _wait(self, deadline: Deadline, ready: Ready) -> None:
        """Under the lock."""
        while self._lost is None and not ready():
            left = deadline.left()
            if left == 0:
                raise PeerUnreachable("the peer did not answer in time")
            self._changed.wait(left)
        if self._lost is not None:
            raise PeerUnreachable(self._lost)


def _pair(network: LoopbackNetwork, one: str, two: str) -> tuple[LoopbackLink, LoopbackLink]:
    ours, theirs = LoopbackLink(network, one, two), LoopbackLink(network, two, one)
    ours.other, theirs.other = theirs, ours
    return ours, theirs
