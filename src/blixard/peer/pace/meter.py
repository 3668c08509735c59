"""What a fetch has received and how fast, by transport.

The rate is that of the last seconds: a screen shows what is, not what was on average.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

_WINDOW_SECONDS = 5.0
_STEP_SECONDS = 0.25


class Statistics(Struct, frozen=True, kw_only=True):
    """What a fetch has received up to a moment, and how fast."""

    received_bytes: int
    """Bodies, the document included."""
    by_kind: dict[str, int]
    """The same, by transport (`iroh`, `tcp`)."""
    rate: float
    """Bytes a second over the last seconds."""
    senders: int = 0
    """Senders that answer now."""
    links: int = 0
    """Links that stand now, lanes included."""
    reconnects: int = 0
    """Times that a lost connection was made again."""


class TransferMeter:
    """Counts the bytes that a fetch receives. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_kind: dict[str, int] = {}
        self._steps: deque[tuple[float, int]] = deque()
        self._began = clock()

    def add(self, kind: str, amount: int) -> None:
        """Count `amount` bytes that came over a transport of that kind."""
        with self._lock:
            now = self._clock()
            self._by_kind[kind] = self._by_kind.get(kind, 0) + amount
            if self._steps and now - self._steps[-1][0] < _STEP_SECONDS:
                at, size = self._steps.pop()
                self._steps.append((at, size + amount))
            else:
                self._steps.append((now, amount))
            self._forget(now)

    def read(self) -> Statistics:
        """What was counted so far; the numbers of links are for others to fill in."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            span = min(_WINDOW_SECONDS, max(now - self._began, _STEP_SECONDS))
            recent = sum(size for _, size in self._steps)
            return Statistics(
                received_bytes=sum(self._by_kind.values()), by_kind=dict(self._by_kind), rate=recent / span
            )

    def _forget(self, now: float) -> None:
        while self._steps and now - self._steps[0][0] > _WINDOW_SECONDS:
            self._steps.popleft()
