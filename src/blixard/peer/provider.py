"""One sender of a fetch: connected, kept connected, and given up when it lies or brings nothing for too long.

A lost connection is made again with pauses that grow, within the time that one is willing to wait without getting any
byte; what was asked for meanwhile goes to the other senders. Of several connections each has that time for itself: one
that cannot be had (the sender is full) is given up alone, and the sender with the last of them.
"""

from __future__ import annotations

import random
import time

from blixard.errors import BlixardError, PeerMisbehaved, PeerRefused, PeerUnreachable, TransferError
from blixard.peer.fetching import Fetch
from blixard.peer.protocol import Refusal
from blixard.peer.ticket import Ticket
from blixard.peer.visit import Visit
from blixard.peer.wanted import again


class Provider:
    """The sender that a ticket names. `start` once; from then on its threads do the rest.

    Attributes:
        problem: why it was given up; None as long as it was not.
    """

    def __init__(self, fetch: Fetch, ticket: Ticket) -> None:
        self.ticket = ticket
        self.problem: BlixardError | None = None
        self.reconnects = 0
        self._fetch = fetch
        self._visits: tuple[Visit, ...] = ()
        self._keepers = fetch.options.connections

    def start(self) -> None:
        """Connect, in threads, and stay connected."""
        for _ in range(self._fetch.options.connections):
            self._fetch.threads.spawn("provider", self._keep)

    @property
    def visits(self) -> tuple[Visit, ...]:
        """Sessions that stand now."""
        return tuple(visit for visit in self._visits if not visit.closed)

    @property
    def has_lane(self) -> bool:
        """True while a direct link to it stands."""
        return any(visit.has_lane for visit in self._visits)

    def a_visit(self) -> Visit:
        """A session that stands, waiting for one as long as the sender is not given up.

        Raises:
            TransferError: why it was given up, or the fetch was stopped.
        """
        with self._fetch.changed:
            self._fetch.changed.wait_for(
                lambda: bool(self.visits) or self.problem is not None or self._fetch.stopped.is_set()
            )
        if self.problem is not None:
            raise again(self.problem)
        visits = self.visits
        if not visits:
            raise TransferError("the fetch was stopped")
        return visits[0]

    def drop(self, problem: BlixardError) -> None:
        """Give it up: nothing more is asked of it, and what a liar gave is not kept. The first reason stays."""
        with self._fetch.changed:
            if self.problem is not None:
                return
            self.problem = problem
        if isinstance(problem, PeerMisbehaved):
            self._fetch.wanted.forget_from(self)
        for visit in self._visits:
            visit.close()
        self._fetch.tell()

    def _keep(self) -> None:
        """One connection after the other."""
        options, stopped = self._fetch.options, self._fetch.stopped
        pause = options.first_pause
        failing_since: float | None = None
        while not stopped.is_set() and self.problem is None:
            visit = Visit(self._fetch, self.ticket, giver=self, lane_stands=lambda: self.has_lane, blame=self.drop)
            problem = self._visit(visit, self._seconds_for_connecting(failing_since))
            if stopped.is_set() or self.problem is not None:
                return
            if visit.was_good:
                pause = options.first_pause
                failing_since = time.monotonic()
            elif failing_since is None:
                failing_since = visit.began
            if not _worth_trying_again(problem) or time.monotonic() - failing_since >= options.timeout:
                self._end_keeper(problem)
                return
            stopped.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311 - so that receivers of one sender spread out
            pause = min(pause * 2, options.longest_pause)
            self.reconnects += 1

    def _end_keeper(self, problem: TransferError) -> None:
        """A connection is made no more; the sender goes with the last, or at once when the reason holds for all."""
        with self._fetch.changed:
            self._keepers -= 1
            last = self._keepers == 0
            self._fetch.changed.notify_all()
        let_in_before = isinstance(problem, PeerRefused) and problem.reason == Refusal.EXPIRED and self.visits
        if last or not (_worth_trying_again(problem) or let_in_before):
            self.drop(problem)

    def _visit(self, visit: Visit, seconds: float) -> TransferError:
        """Connect, within so many seconds, and stay; why it ended."""
        try:
            visit.open(seconds)
        except TransferError as problem:
            visit.close()
            return problem
        self._enter(visit)
        try:
            visit.stay()
        except (PeerMisbehaved, PeerRefused) as problem:
            return problem
        except TransferError as problem:
            return PeerUnreachable(f"the connection to the sender was lost: {(visit.failure or problem).message}")
        finally:
            self._leave(visit)
            visit.close()
        return PeerUnreachable("the sender closed the connection")

    def _enter(self, visit: Visit) -> None:
        with self._fetch.changed:
            self._visits = (*self._visits, visit)
        self._fetch.tell()
        if self.problem is not None or self._fetch.stopped.is_set():
            visit.close()

    def _leave(self, visit: Visit) -> None:
        with self._fetch.changed:
            self._visits = tuple(other for other in self._visits if other is not visit)

    def _seconds_for_connecting(self, failing_since: float | None) -> float:
        options = self._fetch.options
        left = options.timeout
        if failing_since is not None:
            left -= time.monotonic() - failing_since
        return max(0.1, min(options.connect_seconds, left))


def _worth_trying_again(problem: TransferError) -> bool:
    if isinstance(problem, PeerRefused):
        return problem.reason == Refusal.BUSY
    return isinstance(problem, PeerUnreachable)
