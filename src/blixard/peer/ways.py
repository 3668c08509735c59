"""The links over which one sender is asked, and how many channels each has.

The session's own link has its channels at once. A lane takes over as soon as it stands: it begins with one connection
and gets more while each brings at least a tenth more; when it breaks, the session's link goes on by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from blixard.errors import PeerMisbehaved, TransferError
from blixard.peer.asker import Asker
from blixard.peer.channel import Link
from blixard.peer.fetching import Fetch
from blixard.peer.patience import TooSlow

_TRIAL_SECONDS = 1.5
_WORTH_IT = 1.1


class Way:
    """One link with its askers.

    Args:
        giver: the sender, for the table of wanted records.
        may: whether this way should work now.
        lost: told once, with the reason, when the link is of no use any more.
    """

    def __init__(
        self,
        fetch: Fetch,
        link: Link,
        *,
        giver: object,
        may: Callable[[], bool],
        lost: Callable[[Way, TransferError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.link = link
        self.received = 0
        self._fetch = fetch
        self._giver = giver
        self._may = may
        self._lost = lost
        self._lock = threading.Lock()
        self._ended = False
        self._working: list[Asker] = []
        self._askers = 0
        self._most = 1
        self._clock = clock
        self._trial = (clock(), 0)
        self._best = 0.0

    def start(self, channels: int, most: int) -> None:
        """Begin with so many channels; `most` may be added while they bring more."""
        self._most = most
        for _ in range(channels):
            self._add()

    def close(self) -> None:
        """End its askers and the link. Harmless twice."""
        self._ended = True
        self.link.close()
        self._fetch.wanted.poke()

    def hand_over(self) -> None:
        """What is under way on it shall come another way; it stands on, and works again when it may."""
        for asker in list(self._working):
            asker.hand_over()

    def _add(self) -> None:
        with self._lock:
            self._askers += 1
        self._fetch.threads.spawn("asker", self._ask)

    def _ask(self) -> None:
        asker = Asker(
            self._fetch,
            self.link,
            giver=self._giver,
            may=self._may,
            ends=lambda: self._ended,
            progress=self._progress,
        )
        self._working.append(asker)
        try:
            asker.run()
        except (PeerMisbehaved, TooSlow) as problem:
            self._end(problem)
        except TransferError as problem:
            with self._lock:
                self._askers -= 1
                unneeded = self._askers > 0 and not asker.received
            if unneeded:
                self._most = 0  # a connection that could not be had; the others go on
            else:
                self._end(problem)

    def _end(self, problem: TransferError) -> None:
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self._lost(self, problem)

    def _progress(self, size: int) -> None:
        """Count; after a while, see whether the last added connection was worth it."""
        with self._lock:
            self.received += size
            began, before = self._trial
            seconds = self._clock() - began
            if self._askers >= self._most or seconds < _TRIAL_SECONDS:
                return
            rate = (self.received - before) / seconds
            self._trial = (self._clock(), self.received)
            if rate < self._best * _WORTH_IT:
                self._most = 0
                return
            self._best = rate
        self._add()
