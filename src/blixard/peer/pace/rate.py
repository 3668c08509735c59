"""How fast bytes may go: one bucket shared by every lane and thread of a transfer.

`--limit-rate` is a promise about the network, not about a connection, so whoever sends asks the same bucket first.
Bytes are granted in small portions: a body of 1 MiB at 100 kB/s leaves as a trickle, not as a burst and ten seconds of
silence, which the other side would take for a dead peer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from blixard.errors import UsageError

_BURST_SECONDS = 0.1
_PORTION_SECONDS = 0.05
_LEAST_PORTION = 4096
_LARGEST_PORTION = 256 * 1024

Wait = Callable[[float], object]


class RateLimit:
    """A token bucket; may be used by many threads at once.

    Args:
        bytes_per_second: over all who share this bucket; None for no limit.
        clock: seconds, monotonic.
        wait: waits so many seconds; a test hands in a clock that jumps.
    """

    def __init__(
        self, bytes_per_second: float | None, *, clock: Callable[[], float] = time.monotonic, wait: Wait = time.sleep
    ) -> None:
        if bytes_per_second is not None and not bytes_per_second > 0:
            raise UsageError(f"a rate of `{bytes_per_second}` bytes per second moves nothing")
        self._rate = bytes_per_second
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._free_at = clock()
        """When all that was granted so far has gone at the rate; the bucket is full some time after."""

    @property
    def limited(self) -> bool:
        """Whether there is a limit: without one, `grant` always gives all."""
        return self._rate is not None

    def grant(self, wanted: int) -> int:
        """Wait until some bytes may go, and say how many: 1 to `wanted`, or 0 when `wanted` is 0."""
        if self._rate is None or wanted <= 0:
            return max(wanted, 0)
        portion = min(wanted, _portion(self._rate))
        delay = self._reserve(portion / self._rate)
        if delay > 0:
            self._wait(delay)
        return portion

    def _reserve(self, seconds: float) -> float:
        """Take the next `seconds` of the line that are free; returns how long until they begin."""
        with self._lock:
            now = self._clock()
            begins = max(self._free_at, now - _BURST_SECONDS)
            self._free_at = begins + seconds
            return begins - now


def _portion(rate: float) -> int:
    return int(min(max(rate * _PORTION_SECONDS, _LEAST_PORTION), _LARGEST_PORTION))


UNLIMITED = RateLimit(None)
