"""How many channels or connections are worth it: one more is tried as long as each brings at least a tenth more.

A pure calculation, for the channels of a lane and the connections to a sender. What is added works for a while beside
the others; when all of them then bring less than a tenth more than before, the last one was not worth it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum, auto

TRIAL_SECONDS = 1.5
"""How long is measured at least."""
_WORTH_IT = 1.1
_REST_GROWS = 4


class Step(Enum):
    """What the owner of a `Growth` is to do now."""

    NOTHING = auto()
    MORE = auto()
    """Add one, and say `stands` when it works, or `failed` when it cannot be had."""
    ONE_LESS = auto()
    """The last one brought nothing; it may be given back."""


class Growth:
    """Measures what comes, and says when to add one more. The caller calls from one thread at a time.

    Args:
        more: how many may be added at most.
        clock: monotonic, seconds.
        pieces: how many are counted at least in a measurement: of a few, one more or less is already a tenth.
        settle: share of the time of a measurement that passes before it, while what was added comes up to speed.
        enough: the rate, bytes a second, from which nothing is added.
        rest: how many times as long as the measurement it rests after something was not worth it, before the next
            trial; four times as long each time.
    """

    def __init__(
        self,
        *,
        more: int,
        clock: Callable[[], float],
        pieces: int = 1,
        settle: float = 0.0,
        enough: float = math.inf,
        rest: float = math.inf,
    ) -> None:
        self.seconds = TRIAL_SECONDS
        """How long is measured at least; may be changed at any time."""
        self._more = more
        self._clock = clock
        self._pieces_at_least = pieces
        self._settle = settle
        self._enough = enough
        self._rest = rest
        self._before: float | None = None
        self._coming = False
        self._rests_until = -math.inf
        self._from = 0.0
        self._since: float | None = None
        self._received = 0
        self._pieces = 0
        self._measure_anew()

    @property
    def on_trial(self) -> bool:
        """True from `MORE` until it is known whether what was added is worth it."""
        return self._before is not None

    @property
    def over(self) -> bool:
        """True when nothing will ever be added or taken away."""
        return (not self._more or self._rests_until == math.inf) and not self.on_trial

    def stands(self) -> None:
        """Say that what `MORE` asked for works now: its trial begins."""
        self._coming = False
        self._measure_anew()

    def void(self) -> None:
        """Begin the measurement anew: what came lately was held up by something else than the path."""
        self._measure_anew()

    def failed(self) -> None:
        """Say that what is on trial is gone; after one that could not be had at all, nothing more is tried."""
        if self.on_trial:
            self._more += 1
        if self._coming:
            self._rest = math.inf
        self._stop_trying(self.seconds)

    def undecided(self) -> None:
        """Say that what is on trial cannot be judged any more; it stays."""
        self._stop_trying(self.seconds)

    def came(self, size: int) -> Step:
        """Count a piece of `size` bytes, whichever channel brought it, and say what to do now."""
        now = self._clock()
        if self._coming or self.over or now < self._from:
            return Step.NOTHING
        if self._since is None:  # from the end of a piece to the end of a piece
            self._since = now
            return Step.NOTHING
        self._received += size
        self._pieces += 1
        passed = now - self._since
        if passed < self.seconds or self._pieces < self._pieces_at_least:
            return Step.NOTHING
        return self._judge(self._received / passed, passed)

    def _judge(self, rate: float, took: float) -> Step:
        before, self._before = self._before, None
        self._measure_anew()
        if before is not None and rate < before * _WORTH_IT:
            self._more += 1
            self._stop_trying(took)
            return Step.ONE_LESS
        if not self._more or rate >= self._enough:
            return Step.NOTHING
        self._more -= 1
        self._before = rate
        self._coming = True
        return Step.MORE

    def _stop_trying(self, took: float) -> None:
        self._before = None
        self._coming = False
        self._rests_until = self._clock() + self._rest * took
        self._rest *= _REST_GROWS
        self._measure_anew()

    def _measure_anew(self) -> None:
        now = self._clock()
        self._from = max(now, self._rests_until) + self._settle * self.seconds
        self._since = None if self._from > now else now
        self._received = 0
        self._pieces = 0
