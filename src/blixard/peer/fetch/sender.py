"""One sender of a fetch: connected, kept connected, and given up when it lies or brings nothing for too long.

A lost connection is made again with pauses that grow, within the time that one is willing to wait without getting any
byte; what was asked for meanwhile goes to the other senders. Of several connections each has that time for itself: one
that cannot be had (the sender is full) or is too slow is given up alone, and the sender with the last of them.

On a path with delay and loss one connection brings little, and each more as much again. So while no lane stands, one
more is made while each brings more; the last, which did not, is given back.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

from blixard.errors import BlixardError, PeerMisbehaved, PeerRefused, PeerUnreachable, TransferError
from blixard.peer.fetch.connection import Connection
from blixard.peer.fetch.options import Fetch
from blixard.peer.fetch.wanted import again
from blixard.peer.pace.growth import Growth, Step
from blixard.peer.pace.patience import TooSlow
from blixard.peer.wire.protocol import Refusal
from blixard.peer.wire.ticket import Ticket

_TRIAL_ROUND_TRIPS = 40
"""How long is measured at least, too: with 0.1 % loss a connection slows down every 20 to 30 round trips."""
_TRIAL_RECORDS = 12
"""Records in a measurement: on a slow line one record more or less must not look like a tenth."""
_SETTLE = 1.0
"""Share of that time in which a new connection comes down to its speed: until the first loss it is much faster."""
_REST = 4.0
"""Times a measurement, after a first connection that brought nothing: losses come in bunches, it may have been bad
luck. It grows, so that trials do not take much of a transfer."""


class ConnectionSlot:
    """A place for one connection to a sender, kept by a thread of its own.

    Attributes:
        lasting: whether a connection that is lost is made again; one that is on trial, or was not worth it, is not.
        connection: the last one, also while it is being made.
    """

    def __init__(self, *, lasting: bool) -> None:
        self.lasting = lasting
        self.connection: Connection | None = None


class Sender:
    """The sender that a ticket names. `start` once; from then on its threads do the rest.

    Attributes:
        problem: why it was given up; None as long as it was not.
        reconnects: how often a lost connection was made again.
        slots: connections that are kept now, those included that are being made.
    """

    def __init__(self, fetch: Fetch, ticket: Ticket, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.ticket = ticket
        self.problem: BlixardError | None = None
        self.reconnects = 0
        self._fetch = fetch
        self._connections: tuple[Connection, ...] = ()
        options = fetch.options
        self.slots = options.connections
        self._on_trial: ConnectionSlot | None = None
        self._growth = Growth(
            more=max(0, options.most_connections - options.connections),
            clock=clock,
            pieces=_TRIAL_RECORDS,
            settle=_SETTLE,
            enough=options.enough_rate,
            rest=_REST,
        )
        self._round_trip = math.inf
        """The shortest seen: a packet of the others was lost, or stood in a queue."""
        self._surroundings = (False, 0)
        """Whether a lane stood, and how often there was nothing to ask for, when the last record came."""

    def start(self) -> None:
        """Connect, in threads, and stay connected."""
        for _ in range(self._fetch.options.connections):
            self._spawn(ConnectionSlot(lasting=True))

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Sessions that stand now."""
        return tuple(connection for connection in self._connections if not connection.closed)

    @property
    def has_lane(self) -> bool:
        """True while a direct link to it stands."""
        return any(connection.has_lane for connection in self._connections)

    @property
    def grown(self) -> bool:
        """True when the number of its connections is settled."""
        return self._growth.over

    def a_connection(self) -> Connection:
        """A session that stands, waiting for one as long as the sender is not given up.

        Raises:
            TransferError: why it was given up, or the fetch was stopped.
        """
        with self._fetch.changed:
            self._fetch.changed.wait_for(
                lambda: bool(self.connections) or self.problem is not None or self._fetch.stopped.is_set()
            )
        if self.problem is not None:
            raise again(self.problem)
        connections = self.connections
        if not connections:
            raise TransferError("the fetch was stopped")
        return connections[0]

    def drop(self, problem: BlixardError) -> None:
        """Give it up: nothing more is asked of it, and what a liar gave is not kept. The first reason stays."""
        with self._fetch.changed:
            if self.problem is not None:
                return
            self.problem = problem
        if isinstance(problem, PeerMisbehaved):
            self._fetch.wanted.forget_from(self)
        for connection in self._connections:
            connection.close()
        self._fetch.tell()

    def came(self, size: int) -> None:
        """Count a record of `size` bytes that came from it, and make a connection more or less when that is due."""
        if self._growth.over:
            return
        more: ConnectionSlot | None = None
        with self._fetch.changed:
            step = self._judged(size)
            tried = self._on_trial
            if step is not Step.NOTHING or not self._growth.on_trial:
                self._decide(lasting=step is not Step.ONE_LESS)
            if step is Step.MORE:
                more = self._on_trial = ConnectionSlot(lasting=False)
                self.slots += 1
        if more is not None:
            self._spawn(more)
        if step is Step.ONE_LESS and tried is not None and tried.connection is not None:
            tried.connection.retire()

    def _judged(self, size: int) -> Step:
        """What `Growth` makes of a record; one that did not come as fast as the path could bring it is not counted."""
        before, lane = self._surroundings, self.has_lane
        self._surroundings = lane, self._fetch.wanted.lulls
        if lane:
            self._cannot_judge()
        if lane or self._surroundings != before:
            self._growth.void()
            return Step.NOTHING
        return self._growth.came(size)

    def _decide(self, *, lasting: bool) -> None:
        """End the trial of a connection: it is kept when it is `lasting`."""
        if self._on_trial is not None:
            self._on_trial.lasting = lasting
            self._on_trial = None

    def _cannot_judge(self) -> None:
        """End the trial without a verdict, for the links are not what they were when it began; what it added stays."""
        if self._growth.on_trial:
            self._growth.undecided()
        self._decide(lasting=True)

    def _spawn(self, slot: ConnectionSlot) -> None:
        self._fetch.threads.spawn("sender", lambda: self._keep(slot))

    def _keep(self, slot: ConnectionSlot) -> None:
        """Keep a connection in the slot, a new one for each that is lost, until the slot or the sender is given up."""
        options, stopped = self._fetch.options, self._fetch.stopped
        pause = options.first_pause
        failing_since: float | None = None
        while not stopped.is_set() and self.problem is None:
            connection = slot.connection = Connection(self._fetch, self)
            problem = self._hold(connection, self._seconds_for_connecting(failing_since))
            if stopped.is_set() or self.problem is not None:
                return
            if connection.was_good:
                pause = options.first_pause
                failing_since = time.monotonic()
            elif failing_since is None:
                failing_since = connection.began
            in_time = time.monotonic() - failing_since < options.timeout
            if not (slot.lasting and in_time and _worth_trying_again(problem)):
                self._give_back(slot, problem)
                return
            stopped.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311 - so that receivers of one sender spread out
            pause = min(pause * 2, options.longest_pause)
            self.reconnects += 1

    def _give_back(self, slot: ConnectionSlot, problem: TransferError) -> None:
        """Give up a slot; the sender goes with the last, or at once when the reason holds for all connections."""
        with self._fetch.changed:
            self.slots -= 1
            last = self.slots == 0
            if slot is self._on_trial:
                self._growth.failed()
                self._on_trial = None
            self._fetch.changed.notify_all()
        counts = slot.lasting or isinstance(problem, PeerMisbehaved)
        if last or (counts and _holds_for_all(problem, standing=bool(self.connections))):
            self.drop(problem)

    def _hold(self, connection: Connection, seconds: float) -> TransferError:
        """Connect, within so many seconds, and stay; why it ended."""
        try:
            connection.open(seconds)
        except TransferError as problem:
            connection.close()
            return problem
        self._enter(connection)
        try:
            connection.stay()
        except (PeerMisbehaved, PeerRefused) as problem:
            return problem
        except TransferError as problem:
            if isinstance(connection.failure, TooSlow):
                return connection.failure
            return PeerUnreachable(f"the connection to the sender was lost: {(connection.failure or problem).message}")
        finally:
            self._leave(connection)
            connection.close()
        return PeerUnreachable("the sender closed the connection")

    def _enter(self, connection: Connection) -> None:
        with self._fetch.changed:
            self._connections = (*self._connections, connection)
            self._round_trip = min(self._round_trip, connection.round_trip)
            self._growth.seconds = max(self._fetch.options.trial_seconds, _TRIAL_ROUND_TRIPS * self._round_trip)
            if self._on_trial is not None and self._on_trial.connection is connection:
                self._growth.stands()
            else:
                self._growth.void()
        self._fetch.tell()
        if self.problem is not None or self._fetch.stopped.is_set():
            connection.close()

    def _leave(self, connection: Connection) -> None:
        with self._fetch.changed:
            self._connections = tuple(other for other in self._connections if other is not connection)
            if self._on_trial is not None and self._on_trial.connection is not connection:
                self._cannot_judge()
            self._growth.void()

    def _seconds_for_connecting(self, failing_since: float | None) -> float:
        options = self._fetch.options
        failing = 0.0 if failing_since is None else time.monotonic() - failing_since
        return max(0.1, min(options.connect_seconds, options.timeout - failing))


def _worth_trying_again(problem: TransferError) -> bool:
    """Whether the next attempt may end better."""
    if isinstance(problem, PeerRefused):
        return problem.reason == Refusal.BUSY
    return isinstance(problem, PeerUnreachable) and not isinstance(problem, TooSlow)


def _holds_for_all(problem: TransferError, *, standing: bool) -> bool:
    """Whether what ended one connection ends them all; not when others are `standing` that were let in before."""
    if isinstance(problem, PeerRefused):
        return not (problem.reason == Refusal.BUSY or (problem.reason == Refusal.EXPIRED and standing))
    return not isinstance(problem, PeerUnreachable)
