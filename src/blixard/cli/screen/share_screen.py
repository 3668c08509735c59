"""What the screen of a share shows: who comes, how far each one is, who was not let in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from blixard.cli.screen import human
from blixard.cli.screen.meter import Row, Rows, one_line
from blixard.cli.screen.outbox import Write
from blixard.cli.screen.output import Console

if TYPE_CHECKING:
    from blixard.peer.share.receivers import Receiver

_ID_DIGITS = 16


class _Served(Struct):
    """A receiver that is here, with one connection or many."""

    sent: int = 0
    began: float | None = None
    done: bool = False
    """It has said that it has all."""


class Screen:
    """`peer.receivers.Witness`: lines for people or events for programs, and a row for each receiver that is here.

    Args:
        out: where it is told.
        now: seconds of a clock that nobody sets.

    Attributes:
        share_bytes: about what a receiver of everything gets; None as long as nobody knows.
        until: when time is up.
        post: has something written; at once, unless it is given one that lets no receiver wait for who reads it.
    """

    def __init__(self, out: Console, now: Callable[[], float] = time.monotonic) -> None:
        self.share_bytes: int | None = None
        self.until: datetime | None = None
        self.post: Callable[[Write], None] = lambda write: write()
        self._out = out
        self._now = now
        self._lock = threading.Lock()
        self._served: dict[str, _Served] = {}
        self._completed: set[str] = set()

    def rows(self) -> Rows:
        """A row for each receiver that is here and has got something. No lock: see `Shown`."""
        now = self._now()
        return tuple(
            Row(_name(key), self._of_all(served.sent), self.share_bytes, now - served.began)
            for key, served in tuple(self._served.items())
            if served.began is not None and not served.done
        )

    def lines(self) -> tuple[str, ...]:
        """Until when it serves and how many came; then a line for each receiver that is here. No lock: see `Shown`."""
        rows = {row.name: row for row in self.rows()}
        here = [(_name(key), served.done) for key, served in tuple(self._served.items())]
        until = "" if self.until is None else f" until {human.moment(self.until)}"
        several = f"{human.counts(len(here), 'receiver')} here, {len(self._completed)} got all of it so far"
        return (
            f"serving{until}: {several}",
            *(
                one_line(rows[name]) if name in rows else f"{name}: has {'all of it' if done else 'got nothing yet'}"
                for name, done in here
            ),
        )

    def joined(self, receiver: Receiver) -> None:
        """A receiver was let in; what it opens beside its first connection is no news."""
        if receiver.sessions > 1:
            return
        with self._lock:
            self._served[receiver.id] = _Served()
        self._note(receiver, f"{_name(receiver.id)} came from {receiver.address or 'a relay'}")

    def advanced(self, receiver_id: str, amount: int, kind: str) -> None:  # noqa: ARG002 - as `Witness`
        """Count bytes that went to a receiver."""
        with self._lock:
            served = self._served.setdefault(receiver_id, _Served())
            served.began = served.began or self._now()
            served.sent += amount

    def completed(self, receiver: Receiver) -> None:
        """A receiver has all it wanted; it may say so several times, and is told of once."""
        with self._lock:
            served = self._served.setdefault(receiver.id, _Served())
            known, served.done = served.done, True
            self._completed.add(receiver.id)
        if not known:
            self._note(receiver, f"{_name(receiver.id)} has all of it: {_told(receiver)}")

    def left(self, receiver: Receiver) -> None:
        """A session ended; it is gone when that was its last."""
        if receiver.sessions:
            return
        with self._lock:
            self._served.pop(receiver.id, None)
        if not receiver.completed:
            why = f": {receiver.problem}" if receiver.problem else ""
            self._note(receiver, f"{_name(receiver.id)} left{why}")

    def refused(self, peer_id: str, address: str, reason: str) -> None:
        """Somebody was not let in."""
        from blixard.peer.share.answers import WORDS
        from blixard.peer.wire.protocol import Refusal

        why = WORDS[Refusal(reason)]
        told = {"peer": peer_id, "address": address, "reason": reason, "message": why}
        self._tell(
            {"event": "refused", **told},
            f"peer {peer_id[:_ID_DIGITS]} from {address or 'a relay'} was not let in: {why}",
        )

    def warn(self, message: str) -> None:
        """Tell the operator something that does not stop the share."""
        self.post(lambda: self._out.warn(message))

    def missed(self, count: int) -> None:
        """So many lines or events could not be told, as nobody read them."""
        self._tell({"event": "missed", "count": count}, f"{count} more were not told: nobody read what is said here")

    def _of_all(self, sent: int) -> int:
        """What is asked for again counts again, and the total is about right only: never more than all of it."""
        return sent if self.share_bytes is None else min(sent, self.share_bytes)

    def _note(self, receiver: Receiver, text: str) -> None:
        self._tell({"event": "receiver", "receiver": receiver}, text)

    def _tell(self, event: Mapping[str, Any], text: str) -> None:
        self.post(lambda: self._out.event(event) if self._out.json else self._out.note(text))


def _name(receiver_id: str) -> str:
    return f"receiver {receiver_id[:_ID_DIGITS]}"


def _told(receiver: Receiver) -> str:
    """What a receiver got this time, and in all when it was here before."""
    text = human.transfer(receiver.visit_bytes, (receiver.last_at - receiver.visit_at).total_seconds())
    if receiver.sent_bytes == receiver.visit_bytes:
        return text
    return f"{text}; {human.size(receiver.sent_bytes)} since it first came"
