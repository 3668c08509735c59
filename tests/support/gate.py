"""The gate of a served document: its first records get through, and behind them a transfer stands still, to be cut.

The answers on one channel come one after the other, so a held record holds whatever was asked for behind it. A fetch
asks in order, but what somebody waits for goes to the front, and what a lost connection had under way comes back in
any order: one of the first records may lie behind a held one. A gate that held for good would then wait for a record
that waits for the gate. This one lets a held record through when nothing was asked for in a while.
"""

from __future__ import annotations

import threading

A_WHILE = 10.0
"""Seconds; longer than a busy machine takes to write what came and to look at it."""


class Gate:
    """`ServedDocument.frame_of` that gives the `first` records, and others once it is open."""

    def __init__(self, first: frozenset[bytes], *, a_while: float = A_WHILE) -> None:
        self._first = first
        self._a_while = a_while
        self._changed = threading.Condition()
        self._asked = 0
        self._open = False
        self.reached = threading.Event()
        """Somebody asked for a record that is held."""
        self.slipped = 0
        """Held records that were let through because nothing moved."""

    def __call__(self, digest: bytes, frame: bytes | None) -> bytes | None:
        """The frame, now or when the gate lets it through."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            if digest not in self._first:
                self.reached.set()
                self._hold()
        return frame

    def open(self) -> None:
        """Let everything through."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def _hold(self) -> None:
        while not self._open:
            if not self._moves():
                self.slipped += 1
                self._asked += 1  # the next one waits for what comes of this
                self._changed.notify_all()
                return

    def _moves(self) -> bool:
        """Wait a while; True when something was asked for, or the gate is open."""
        seen = self._asked
        return self._changed.wait_for(lambda: self._open or self._asked != seen, self._a_while)
