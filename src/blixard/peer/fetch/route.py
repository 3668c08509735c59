"""The links over which one sender is asked, and how many channels each has.

Of the session's own link one channel asks first, the others as soon as the link is fast enough for several: on a slow
line they would only take from each other, until each seems to stand still. A lane takes over as soon as it stands: it
begins with one connection and gets more while each brings at least a tenth more; when it breaks, the session's link
goes on by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from blixard.errors import PeerMisbehaved, TransferError
from blixard.limits import KIB
from blixard.peer.fetch.options import Fetch
from blixard.peer.fetch.requests import Requests
from blixard.peer.fetch.wanted import AskedSender
from blixard.peer.pace.growth import Growth, Step
from blixard.peer.pace.patience import TooSlow
from blixard.peer.ports import Link

_CHANNEL_RATE = 256 * KIB
"""Bytes a second that a link brings for each of its channels but the first."""
_LEAST_SECONDS = 0.001
"""What was there already says of the rate only that it is high."""


class RoutedConnection(Protocol):
    """What a route knows of the connection to which it belongs."""

    @property
    def sender(self) -> AskedSender:
        """The sender that it connects to."""

    def may_ask(self, route: Route) -> bool:
        """Whether this route should be used now."""

    def route_lost(self, route: Route, problem: TransferError) -> None:
        """Told once, when the link of a route is of no use any more."""


class Route:
    """One link of a connection, with the channels that ask over it."""

    def __init__(
        self, fetch: Fetch, link: Link, connection: RoutedConnection, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.link = link
        self.sender = connection.sender
        self.received = 0
        self.ended = False
        """Nothing is asked over it any more."""
        self._fetch = fetch
        self._connection = connection
        self._lock = threading.Lock()
        self._working: list[Requests] = []
        self._channels = 0
        self._clock = clock
        self._growth = Growth(more=0, clock=clock)
        self._rate = 0.0

    @property
    def channels(self) -> int:
        """Channels that ask, or wait for their turn."""
        return self._channels

    def start(self, channels: int, most: int) -> None:
        """Begin with so many channels; `most` may be added while they bring more."""
        self._growth = Growth(more=max(0, most - channels), clock=self._clock)
        for _ in range(channels):
            self._add()

    def close(self) -> None:
        """End its channels and the link."""
        self.ended = True
        self.link.close()
        self._fetch.wanted.poke()

    def retire(self) -> None:
        """End its channels, not the link; what was under way comes over another route."""
        self.ended = True
        self.hand_over()
        self._fetch.wanted.poke()

    def hand_over(self) -> None:
        """Have what is under way come over another route; this one stays, and asks again when it may."""
        for requests in list(self._working):
            requests.hand_over()

    def has_turn(self, requests: Requests) -> bool:
        """As `AskedRoute.has_turn`: the first channels, as many as the link is fast enough for."""
        return self._connection.may_ask(self) and self._working.index(requests) <= self._turns

    def progress(self, size: int, seconds: float) -> None:
        """As `AskedRoute.progress`; adds a channel now and then while each brings more, and never takes one away."""
        self._measure(size, seconds)
        with self._lock:
            step = self._growth.came(size)
        if step is Step.MORE:
            self._add()
            with self._lock:
                self._growth.stands()
        self.sender.came(size)

    def _add(self) -> None:
        with self._lock:
            self._channels += 1
        self._fetch.threads.spawn("requests", self._ask)

    def _ask(self) -> None:
        requests = Requests(self._fetch, self)
        with self._lock:
            self._working.append(requests)
        try:
            self._run(requests)
        finally:
            with self._lock:
                self._working.remove(requests)
            self._fetch.wanted.poke()  # the next in line moves up

    def _run(self, requests: Requests) -> None:
        try:
            requests.run()
        except (PeerMisbehaved, TooSlow) as problem:
            self._end(problem)
        except TransferError as problem:
            with self._lock:
                self._channels -= 1
                unneeded = self._channels > 0 and self.received > 0 and not requests.received
            if unneeded:
                with self._lock:
                    self._growth.failed()  # a connection that could not be had; the others go on
            else:
                self._end(problem)

    def _end(self, problem: TransferError) -> None:
        with self._lock:
            ended, self.ended = self.ended, True
        if not ended:
            self._connection.route_lost(self, problem)

    @property
    def _turns(self) -> int:
        """How many channels may ask besides the first."""
        return int(self._rate / _CHANNEL_RATE)

    def _measure(self, size: int, seconds: float) -> None:
        """Count, and follow the rate of the link, given what one of its channels brought."""
        with self._lock:
            self.received += size
            busy = sum(1 for requests in self._working if requests.busy) or 1
            rate = busy * size / max(seconds, _LEAST_SECONDS)
            before, self._rate = self._turns, (self._rate + rate) / 2 if self._rate else rate
            more = before < min(self._turns, len(self._working) - 1)
        if more:
            self._fetch.wanted.poke()
