"""Fetching from one or several senders of the same document.

The caller reads the document, requests records and waits for each; behind that, connections come and go. A sender that
sent wrong bytes is given up and nothing of it kept; the fetch goes on as long as one sender is left.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Self

from msgspec.structs import replace

from blixard.closing import Closing
from blixard.errors import (
    BUG_HINT,
    BlixardError,
    InternalError,
    InvalidTicket,
    PeerMisbehaved,
    PeerUnreachable,
    TransferError,
)
from blixard.peer.fetch.document import DocumentStream
from blixard.peer.fetch.options import Fetch, FetchOptions
from blixard.peer.fetch.sender import Sender
from blixard.peer.fetch.wanted import Wanted, again
from blixard.peer.pace.deadline import Deadline
from blixard.peer.pace.meter import Statistics, TransferMeter
from blixard.peer.pace.threads import Threads
from blixard.peer.ports import BODY_BYTES, Body, Endpoint, LaneMaker
from blixard.peer.wire.protocol import PART_BYTES
from blixard.peer.wire.ticket import Ticket

_BYE_SECONDS = 5.0
_LEAVE_SECONDS = 1.0
"""How long the senders have to hear that we leave; somebody may have pressed Ctrl-C, and waits."""
_MOST_SENDERS = 16


class Remote(Closing):
    """An export at its senders. Made by `connect`; a context manager.

    Every method from any thread. After the last sender was given up, each raises the reason.
    """

    def __init__(self, fetch: Fetch, senders: tuple[Sender, ...]) -> None:
        self._fetch = fetch
        self.senders = senders
        """Those of the tickets, in that order, given up or not."""
        self._document_from: Sender | None = None
        self._done = False

    @classmethod
    def connect(
        cls,
        tickets: Sequence[Ticket],
        endpoint: Endpoint,
        options: FetchOptions | None = None,
        *,
        lanes: LaneMaker | None = None,
        changed: threading.Condition | None = None,
    ) -> Self:
        """Connect to all senders; return as soon as one has let us in.

        Args:
            tickets: of the same document.
            endpoint: ours; it is closed with the remote, also when this raises.
            options: how patiently, and over how many connections.
            lanes: makes the direct lane of a session; None: there is none.
            changed: notified whenever a sender begins or ceases to answer, for whoever watches.

        Raises:
            InvalidTicket: they are of different documents.
            TransferError: or one of its kind: no sender is left; the gravest reason for which one was given up.
        """
        options = options or FetchOptions()
        fetch = Fetch(
            endpoint,
            options,
            Wanted(options.bytes_in_flight),
            TransferMeter(),
            Threads("fetch", failed=lambda problem: remote._broke(problem)),  # noqa: PLW0108 - it is made below
            threading.Event(),
            changed or threading.Condition(),
            lanes,
        )
        remote = cls(fetch, tuple(Sender(fetch, ticket) for ticket in tickets))
        try:
            _check_tickets(tickets)
            remote._start()
        except BaseException:
            remote.close()
            raise
        return remote

    @property
    def document_digest(self) -> str:
        """What the tickets say; the document must be held against it."""
        return self.senders[0].ticket.document

    @property
    def document_size(self) -> int:
        """Bytes that `document` will give, as a sender announced them; 0 when none is connected."""
        return next((connection.document_size for sender in self.senders for connection in sender.connections), 0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Senders that were given up so far, and why: the others went on, and still somebody should know who lied.

        A sender that is the only one is none of them: why it was given up is why the fetch failed.
        """
        if len(self.senders) == 1:
            return ()
        return tuple(
            f"a sender was given up: `{sender.ticket.peer_id[:16]}`: {sender.problem.message}"
            for sender in self.senders
            if sender.problem is not None
        )

    def document(self) -> BinaryIO:
        """The export without record data, from one sender; close it. May be called again: another may be asked.

        Raises (reading too):
            TransferError and its kind.
        """
        sender = self._answering()
        self._document_from = sender
        return io.BufferedReader(DocumentStream(self._fetch, sender), PART_BYTES)

    def reject_document(self, problem: BlixardError) -> None:
        """Give up the sender of the last document, which was of no use.

        Raises:
            BlixardError: no sender is left; the problem, or a graver one of another sender.
        """
        if self._document_from is not None:
            self._document_from.drop(problem)
        self._raise_if_nobody_is_left()

    def request(self, digest: bytes, length: int) -> None:
        """Want the frame of a record; it is asked for in the order of the requests.

        Args:
            digest: BLAKE3 of its decoded bytes.
            length: of the decoded bytes.
        """
        if not 0 < length <= BODY_BYTES:
            raise ValueError(f"a record of {length} bytes")
        self._fetch.wanted.request(digest, length)

    def wait(self, digest: bytes, timeout: float | None = None) -> Body:
        """The frame of a requested record, once for each request; nobody has looked inside it yet.

        Raises:
            TransferError and its kind: no sender is left, it was closed, or the time passed.
        """
        return self._fetch.wanted.wait(digest, timeout)

    def reject(self, digest: bytes, why: str) -> None:
        """Give up the sender of a frame that was wrong; the record is requested again from the others.

        Raises:
            PeerMisbehaved: no sender is left.
        """
        sender = self._fetch.wanted.reject(digest)
        sender.drop(PeerMisbehaved(f"the sender sent a wrong record `{digest.hex()[:16]}`: {why}"))
        self._raise_if_nobody_is_left()

    def statistics(self) -> Statistics:
        """What has come so far and how fast, and how many senders and links stand now."""
        connections = [sender.connections for sender in self.senders]
        return replace(
            self._fetch.meter.read(),
            senders=sum(1 for standing in connections if standing),
            links=sum(connection.links for standing in connections for connection in standing),
            reconnects=sum(sender.reconnects for sender in self.senders),
        )

    def done(self) -> None:
        """Tell the senders that we have all; what they make of it is no concern of the fetch."""
        self._done = True
        for sender in self.senders:
            for connection in sender.connections[:1]:
                with suppress(TransferError):
                    connection.say_done(_BYE_SECONDS)

    def stop(self) -> None:
        """Want nothing more: whoever waits for a record gets an error. `close` is still to be called."""
        self._fetch.stopped.set()
        self._fetch.wanted.fail(TransferError("the fetch was stopped"))

    def leave(self) -> None:
        """Part from the senders without having all: for them the session ends well, not by a lost connection.

        For when we do not want more, or cannot take it. Prompt whatever they do; `close` is still to be called.
        """
        self.stop()
        connections = [] if self._done else [connection for sender in self.senders for connection in sender.connections]
        for connection in connections:
            connection.retire()
        deadline = Deadline(_LEAVE_SECONDS)
        for connection in connections:
            connection.told_done.wait(deadline.left())

    def close(self) -> None:
        """End every connection and thread, and the endpoint."""
        self.stop()
        for sender in self.senders:
            for connection in sender.connections:
                connection.close()
        self._fetch.endpoint.close()
        self._fetch.tell()
        self._fetch.threads.join()

    def _start(self) -> None:
        for sender in self.senders:
            sender.start()
        self._fetch.threads.spawn("watch", self._watch)
        self._answering()

    def _broke(self, problem: Exception) -> None:
        """Fail the fetch: a thread ended by an error of ours, and what it was to bring would never come."""
        fault = problem if isinstance(problem, BlixardError) else _unexpected(problem)
        self._fetch.wanted.fail(fault)
        for sender in self.senders:
            sender.drop(fault)

    def _watch(self) -> None:
        """Wait until the last sender is given up, and tell whoever waits for a record."""
        with self._fetch.changed:
            self._fetch.changed.wait_for(lambda: self._fetch.stopped.is_set() or self._last_problem() is not None)
            problem = self._last_problem()
        if problem is not None:
            self._fetch.wanted.fail(problem)

    def _answering(self) -> Sender:
        """A sender that let us in; waits for one."""
        fetch = self._fetch

        def decided() -> bool:
            answering = any(sender.connections for sender in self.senders)
            return answering or fetch.stopped.is_set() or self._last_problem() is not None

        with fetch.changed:
            fetch.changed.wait_for(decided)
        self._raise_if_nobody_is_left()
        for sender in self.senders:
            if sender.connections:
                return sender
        if fetch.stopped.is_set():
            raise TransferError("the fetch was stopped")
        return next(sender for sender in self.senders if sender.problem is None)

    def _last_problem(self) -> BlixardError | None:
        """Why the fetch cannot go on; None while a sender is left."""
        problems = [sender.problem for sender in self.senders if sender.problem is not None]
        return max(problems, key=_weight) if len(problems) == len(self.senders) else None

    def _raise_if_nobody_is_left(self) -> None:
        problem = self._last_problem()
        if problem is not None:
            raise again(problem)


def _weight(problem: BlixardError) -> int:
    """Of several reasons the heaviest is told: a fault of ours, then a lie, then a refusal, then no answer."""
    if isinstance(problem, InternalError):
        return 3
    if isinstance(problem, PeerMisbehaved):
        return 2
    return 0 if isinstance(problem, PeerUnreachable) else 1


def _unexpected(problem: Exception) -> InternalError:
    fault = InternalError(f"unexpected {type(problem).__name__} in a thread of the fetch: {problem}", hint=BUG_HINT)
    fault.__cause__ = problem
    return fault


def _check_tickets(tickets: Sequence[Ticket]) -> None:
    if not 0 < len(tickets) <= _MOST_SENDERS:
        raise InvalidTicket(f"{len(tickets)} tickets were given, 1 to {_MOST_SENDERS} are taken")
    if len({ticket.document for ticket in tickets}) > 1:
        raise InvalidTicket("the tickets are of different exports", hint="fetch each on its own")
