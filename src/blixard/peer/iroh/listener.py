"""Where links come in over Iroh: a small backlog, filled by the loop's thread, emptied by ours."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from blixard.peer.iroh.link import IrohLink

BACKLOG = 64
"""Links that wait to be accepted; who comes after them is sent away."""


class IrohListener:
    """As `Listener`. Made by `IrohEndpoint.listen`."""

    def __init__(self, addresses: Callable[[], tuple[str, ...]], stopped: Callable[[IrohListener], None]) -> None:
        self.addresses = addresses
        self._stopped = stopped
        self._changed = threading.Condition()
        self._backlog: deque[IrohLink] = deque()
        self._closed = False

    def accept(self, timeout: float | None) -> IrohLink | None:
        """As `Listener.accept`."""
        with self._changed:
            self._changed.wait_for(lambda: self._backlog or self._closed, timeout)
            return self._backlog.popleft() if self._backlog else None

    def deliver(self, link: IrohLink) -> bool:
        """Let a new link wait to be accepted; False when it is closed, or too many wait."""
        with self._changed:
            if self._closed or len(self._backlog) >= BACKLOG:
                return False
            self._backlog.append(link)
            self._changed.notify()
            return True

    def close(self) -> None:
        """As `Listener.close`."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting, self._backlog = list(self._backlog), deque()
            self._changed.notify_all()
        for link in waiting:
            link.close("the share has ended")
        self._stopped(self)
