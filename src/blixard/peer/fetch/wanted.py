"""The records that a fetch wants, in one table for all senders and threads: which are asked for, and which came.

Records are asked for in the order in which they were requested, so what the caller waits for first is under way first.
Bytes under way and arrived are bounded; what somebody waits for passes the bound, so there is always a next step.
A change wakes only those whom it concerns: woken threads that find nothing to do cost more than the records.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Protocol

from blixard.errors import BlixardError, InternalError, TransferError
from blixard.peer.pace.deadline import Deadline
from blixard.peer.ports import Body
from blixard.peer.wire.ticket import Ticket

_REMEMBERED = 4096
"""Delivered records whose sender is still known, for the caller who finds one to be wrong."""

Item = tuple[bytes, int]
"""Digest of a record, and its decoded length."""


class AskedSender(Protocol):
    """What connections, routes and channels know of the sender (`sender.py`) that they ask."""

    @property
    def ticket(self) -> Ticket:
        """Whom to call, for which document, and the secret that lets one ask."""

    @property
    def has_lane(self) -> bool:
        """True while a direct link to it stands, over whichever connection."""

    def came(self, size: int) -> None:
        """Count a record of `size` bytes that came from it."""

    def drop(self, problem: BlixardError) -> None:
        """Give it up: nothing more is asked of it."""


class Requester(Protocol):
    """Takes batches of records from the table, to ask a sender for them."""

    @property
    def may_ask(self) -> bool:
        """False while it should wait, because there is a better route. Looked at after each `poke`."""

    @property
    def ended(self) -> bool:
        """True when it will not ask any more."""


class _Entry:
    """A record somebody requested. `frame` is None until it arrives; `came` is there when somebody waits for it."""

    __slots__ = ("asked", "came", "frame", "length", "requests", "reserved", "sender")

    def __init__(self, length: int) -> None:
        self.length = length
        self.requests = 1
        self.asked = False
        self.reserved = False
        self.came: threading.Condition | None = None
        self.frame: Body | None = None
        self.sender: AskedSender | None = None


class Wanted:
    """The table of wanted records. From any thread.

    Args:
        bytes_in_flight: decoded lengths of records under way or not yet collected.
    """

    def __init__(self, bytes_in_flight: int) -> None:
        self._bound = bytes_in_flight
        self._lock = threading.RLock()  # `fail` may come from a signal handler in the thread that holds it
        self._work = threading.Condition(self._lock)
        """There is more to ask for: channels who may work wait for it."""
        self._turn = threading.Condition(self._lock)
        """Channels who may not work now wait here."""
        self._entries: dict[bytes, _Entry] = {}
        self._queue: deque[bytes] = deque()
        self._delivered: OrderedDict[bytes, tuple[AskedSender | None, int]] = OrderedDict()
        self._held = 0
        self._failure: BlixardError | None = None
        self.lulls = 0
        """Times that somebody who might work had nothing to ask for: what comes then says little of the path."""

    @property
    def outstanding(self) -> bool:
        """True while a record is wanted that has not arrived."""
        with self._lock:
            return any(entry.frame is None for entry in self._entries.values())

    def request(self, digest: bytes, length: int) -> None:
        """Want a record; a second request of one that is not collected yet is for a second `wait`."""
        with self._lock:
            self._raise_failure()
            entry = self._entries.get(digest)
            if entry is not None:
                entry.requests += 1
                return
            self._entries[digest] = _Entry(length)
            self._queue.append(digest)
            self._work.notify_all()

    def wait(self, digest: bytes, timeout: float | None = None) -> Body:
        """The frame of a record that was requested.

        Raises:
            TransferError: the fetch failed or was stopped, or the time passed; the error is the fetch's own.
            InternalError: it was not requested.
        """
        deadline = Deadline(timeout)
        with self._lock:
            entry = self._entries.get(digest)
            if entry is None:
                raise InternalError("a record is waited for that nobody requested")
            if entry.frame is None and not entry.asked:
                self._hurry(digest, entry)
            while entry.frame is None:
                self._raise_failure()
                if deadline.passed():
                    raise TransferError("a record did not come in time")
                if entry.came is None:
                    entry.came = threading.Condition(self._lock)
                entry.came.wait(deadline.left())
            return self._collect(digest, entry, entry.frame)

    def take(self, requester: Requester, *, count: int, length: int, timeout: float | None) -> list[Item] | None:
        """A batch to ask for, in order; empty when the time passed, None when the requester has ended.

        Args:
            requester: who is to ask; waits while it may not.
            count: items at most.
            length: decoded bytes after which the batch is full.
            timeout: how long to wait for work; 0: not at all.
        """
        deadline = Deadline(timeout)
        with self._lock:
            while True:
                if requester.ended or self._failure is not None:
                    return None
                allowed = requester.may_ask
                batch = self._next(count, length) if allowed else []
                self.lulls += allowed and not batch
                if batch or deadline.passed():
                    return batch
                (self._work if allowed else self._turn).wait(deadline.left())

    def arrived(self, digest: bytes, frame: Body, sender: AskedSender) -> None:
        """Take a frame that was asked for; one that is not wanted any more is dropped."""
        with self._lock:
            entry = self._entries.get(digest)
            if entry is not None and entry.frame is None:
                entry.frame = frame
                entry.sender = sender
                if entry.came is not None:
                    entry.came.notify_all()

    def back(self, items: Sequence[Item]) -> None:
        """Have records that were asked for and did not come asked for again, before all others."""
        with self._lock:
            for digest, _ in reversed(items):
                entry = self._entries.get(digest)
                if entry is not None and entry.frame is None:
                    entry.asked = False
                    self._queue.appendleft(digest)
            self._work.notify_all()

    def reject(self, digest: bytes) -> AskedSender:
        """Want a record again whose collected frame was wrong, and say who gave the frame.

        Raises:
            InternalError: it was not collected lately.
        """
        with self._lock:
            sender, length = self._delivered.pop(digest, (None, 0))
            if sender is None:
                raise InternalError("a record is rejected that was not collected")
            entry = self._entries.get(digest)
            if entry is None:
                self._entries[digest] = _Entry(length)
                self._queue.appendleft(digest)
            else:
                entry.requests += 1  # its frame goes with the rest of what that sender gave
            self._work.notify_all()
            return sender

    def forget_from(self, sender: AskedSender) -> None:
        """Keep nothing of that sender: what arrived from it and is not collected is wanted again."""
        with self._lock:
            for digest, entry in self._entries.items():
                if entry.frame is not None and entry.sender is sender:
                    entry.frame = entry.sender = None
                    entry.asked = False
                    self._queue.appendleft(digest)
            self._work.notify_all()

    def poke(self) -> None:
        """Have every requester look again whether it may ask or has ended."""
        with self._lock:
            self._wake_requesters()

    def fail(self, problem: BlixardError) -> None:
        """End all asking and waiting with this error; the first one stays."""
        with self._lock:
            self._failure = self._failure or problem
            self._wake_requesters()
            for entry in self._entries.values():
                if entry.came is not None:
                    entry.came.notify_all()

    def _wake_requesters(self) -> None:
        self._work.notify_all()
        self._turn.notify_all()

    def _collect(self, digest: bytes, entry: _Entry, frame: Body) -> Body:
        self._delivered[digest] = (entry.sender, entry.length)
        self._delivered.move_to_end(digest)
        if len(self._delivered) > _REMEMBERED:
            self._delivered.popitem(last=False)
        entry.requests -= 1
        if not entry.requests:
            del self._entries[digest]
            if entry.reserved:
                self._held -= entry.length
                self._work.notify_all()
        return frame

    def _hurry(self, digest: bytes, entry: _Entry) -> None:
        """Move a record to the front that somebody waits for, whatever the bound says."""
        self._reserve(entry)
        # it is in the queue a second time: `_next` passes over what is asked for already
        self._queue.appendleft(digest)
        self._work.notify_all()

    def _reserve(self, entry: _Entry) -> None:
        if not entry.reserved:
            entry.reserved = True
            self._held += entry.length

    def _next(self, count: int, length: int) -> list[Item]:
        batch: list[Item] = []
        size = 0
        while self._queue and len(batch) < count and (not batch or size < length):
            digest = self._queue[0]
            entry = self._entries.get(digest)
            if entry is None or entry.asked or entry.frame is not None:
                self._queue.popleft()
                continue
            if not entry.reserved and self._held and self._held + entry.length > self._bound:
                break
            self._reserve(entry)
            self._queue.popleft()
            entry.asked = True
            batch.append((digest, entry.length))
            size += entry.length
        return batch

    def _raise_failure(self) -> None:
        if self._failure is not None:
            # one object raised in several threads would collect the tracebacks of all
            raise again(self._failure)


def again(problem: BlixardError) -> BlixardError:
    """The same error, to be raised in one more thread."""
    again = type(problem).__new__(type(problem))
    again.__dict__.update(problem.__dict__)
    again.args = problem.args
    again.__cause__ = problem
    return again
