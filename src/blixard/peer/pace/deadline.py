"""A point in time up to which one may wait.

Calls that wait in several steps (length, head, length, body) share one, so that the steps cannot add up.
"""

from __future__ import annotations

import time


class Deadline:
    """`seconds` from now on the monotonic clock; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds left, 0 when it has passed; None: for ever. Fit for `Condition.wait`."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def passed(self) -> bool:
        """True when no time is left."""
        return self._at is not None and time.monotonic() >= self._at

    def extend(self, seconds: float) -> None:
        """Allow `seconds` more."""
        if self._at is not None:
            self._at += seconds
