"""Who is served: the terms of a share, and whom they let in so far. Pure but for a lock.

Judged in this order, so that a stranger learns nothing: the secret first, and only whoever has it hears of the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from blixard.peer.wire.protocol import Refusal
from blixard.peer.wire.secret import Secret

RECEIVERS = 10_000
"""Endpoint ids that one share remembers; whoever holds the ticket can make them up."""


class Terms(Struct, frozen=True, kw_only=True):
    """Whom a ticket lets in, how many, and until when."""

    secret: Secret
    expires_at: datetime | None = None
    """By the sender's clock; a session that began before goes on as long as it transfers."""
    uses: int | None = None
    """Endpoint ids that may be served; None: any number."""
    allowed: frozenset[str] | None = None
    """Endpoint ids (hex) that may come; None: whoever has the secret."""


class Admission:
    """Judges receivers by the terms. From any thread."""

    def __init__(self, terms: Terms, now: Callable[[], datetime]) -> None:
        self.terms = terms
        self._now = now
        self._lock = threading.Lock()
        self._bound: set[str] = set()
        self._completed: set[str] = set()
        self._sent_away: set[str] = set()

    def judge(self, peer_id: str, *, proven: bool) -> Refusal | None:
        """Why this endpoint is refused now; None when it is not."""
        terms = self.terms
        if not proven:
            return Refusal.SECRET
        if terms.allowed is not None and peer_id not in terms.allowed:
            return Refusal.NOT_ALLOWED
        if terms.expires_at is not None and self._now() >= terms.expires_at:
            return Refusal.EXPIRED
        with self._lock:
            if peer_id in self._sent_away:
                return Refusal.STOPPED
            return None if self._has_place(peer_id) else Refusal.USED

    def bind(self, peer_id: str) -> bool:
        """Give the endpoint a use of its own, before its first byte; False when others have taken them all."""
        with self._lock:
            if not self._has_place(peer_id):
                return False
            self._bound.add(peer_id)
            return True

    def send_away(self, peer_id: str) -> None:
        """Refuse the endpoint from now on: the share is over, and it was told to leave."""
        with self._lock:
            self._sent_away.add(peer_id)

    def complete(self, peer_id: str) -> None:
        """Count an endpoint that has all it wanted: once, and only when it was served something."""
        with self._lock:
            self._completed |= {peer_id} & self._bound

    @property
    def completed(self) -> int:
        """Endpoints that have got all they wanted."""
        return len(self._completed)

    @property
    def used_up(self) -> bool:
        """True when every use is complete: nobody can come any more."""
        return self.terms.uses is not None and self.completed >= self.terms.uses

    @property
    def over(self) -> bool:
        """True when nobody new can come any more: time is up, or every use is complete."""
        expires = self.terms.expires_at
        return self.used_up or (expires is not None and self._now() >= expires)

    def _has_place(self, peer_id: str) -> bool:
        most = RECEIVERS if self.terms.uses is None else min(self.terms.uses, RECEIVERS)
        return peer_id in self._bound or len(self._bound) < most
