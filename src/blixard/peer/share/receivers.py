"""What a share knows of each receiver: for the screen while it runs, for the history afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace


class Receiver(Struct, frozen=True, kw_only=True):
    """An endpoint that was let in, counted over all its sessions."""

    id: str
    address: str
    """Where it was seen last; empty when only a relay knows."""
    first_at: datetime
    last_at: datetime
    sent_bytes: int = 0
    """Bodies handed to its links, the document included; what is asked for again counts again."""
    sent_by_kind: dict[str, int] = {}
    """The same, by transport (`iroh`, `tcp`)."""
    visit_at: datetime
    """When it came last after it had been away."""
    visit_bytes: int = 0
    """What went to it since then, as in `sent_bytes`."""
    sessions: int = 0
    """Links that stand now."""
    completed: bool = False
    problem: str | None = None
    """How its last session ended, when that was not well."""


class Witness(Protocol):
    """Who is told what happens. Called from the server's threads, several at once; must be quick and not raise."""

    def joined(self, receiver: Receiver) -> None:
        """One of its sessions began; its only one when `sessions` is 1."""

    def advanced(self, receiver_id: str, amount: int, kind: str) -> None:
        """That many more bytes went to it over a transport of that kind."""

    def completed(self, receiver: Receiver) -> None:
        """It has all it wanted; told each time that it says so."""

    def left(self, receiver: Receiver) -> None:
        """One of its sessions ended; its last when `sessions` is 0."""

    def refused(self, peer_id: str, address: str, reason: str) -> None:
        """An endpoint was not let in. At most one of these for each connection, so it may be many."""

    def warn(self, message: str) -> None:
        """The operator should know; lower case, no full stop."""


class Book:
    """All receivers of one share, and the witness that hears of each change."""

    def __init__(self, witness: Witness, now: Callable[[], datetime]) -> None:
        self.witness = witness
        self._now = now
        self._lock = threading.Lock()
        self._receivers: dict[str, Receiver] = {}

    def all(self) -> tuple[Receiver, ...]:
        """Everybody that was let in, first comers first."""
        with self._lock:
            return tuple(self._receivers.values())

    def join(self, peer_id: str, address: str) -> None:
        """Count a session of this receiver that begins; its first after a while begins a new visit."""
        now = self._now()
        with self._lock:
            known = self._receivers.get(peer_id) or Receiver(
                id=peer_id, address=address, first_at=now, last_at=now, visit_at=now
            )
            if not known.sessions:
                known = replace(known, visit_at=now, visit_bytes=0)
            changed = self._put(replace(known, address=address, sessions=known.sessions + 1))
        self.witness.joined(changed)

    def advance(self, peer_id: str, amount: int, kind: str) -> None:
        """Count bytes that were sent to this receiver over a transport of that kind."""
        with self._lock:
            known = self._receivers[peer_id]
            by_kind = {**known.sent_by_kind, kind: known.sent_by_kind.get(kind, 0) + amount}
            sent, visit = known.sent_bytes + amount, known.visit_bytes + amount
            self._put(replace(known, sent_bytes=sent, visit_bytes=visit, sent_by_kind=by_kind))
        self.witness.advanced(peer_id, amount, kind)

    def complete(self, peer_id: str) -> None:
        """Note that this receiver has said that it has all it wanted."""
        with self._lock:
            changed = self._put(replace(self._receivers[peer_id], completed=True, problem=None))
        self.witness.completed(changed)

    def leave(self, peer_id: str, problem: str | None) -> None:
        """Count a session of this receiver that ended; `problem` says why, when that was not well."""
        with self._lock:
            known = self._receivers[peer_id]
            kept = None if known.completed else problem
            changed = self._put(replace(known, sessions=known.sessions - 1, problem=kept))
        self.witness.left(changed)

    def broke(self, problem: Exception) -> None:
        """Warn that a thread of the share ended by an error that is ours or this machine's, and no peer's."""
        self.witness.warn(f"unexpected {type(problem).__name__} in a thread of the share: {problem}")

    def _put(self, receiver: Receiver) -> Receiver:
        """Keep what is known of a receiver now. To be called under the lock."""
        self._receivers[receiver.id] = replace(receiver, last_at=self._now())
        return self._receivers[receiver.id]
