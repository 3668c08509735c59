"""A bound on bytes (or on anything that is counted) that several threads hold at once.

What a share holds in memory must not depend on how many receivers are slow.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from blixard.errors import TransferError
from blixard.limits import KIB, MIB

_FIRST_GUESS = MIB + KIB


class Budget:
    """At most `total` at once; a single larger amount passes alone."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._changed = threading.Condition()
        self._held = 0
        self._largest = _FIRST_GUESS
        self._closed = False

    @property
    def held(self) -> int:
        """How much is out now."""
        return self._held

    def take(self, amount: int) -> None:
        """Wait until so much is free.

        Raises:
            TransferError: the budget was closed.
        """
        with self._changed:
            while self._held and self._held + amount > self._total and not self._closed:
                self._changed.wait()
            if self._closed:
                raise TransferError("the transfer was stopped")
            self._held += amount

    def give(self, amount: int) -> None:
        """So much is free again."""
        with self._changed:
            self._held -= amount
            self._changed.notify_all()

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Room for something whose size is known only later: the largest so far is held until `settle` says it.

        Raises:
            TransferError: the budget was closed.
        """
        room = Room(self, self._largest)
        self.take(room.amount)
        try:
            yield room
        finally:
            self.give(room.amount)

    def close(self) -> None:
        """Wake whoever waits, with an error. Harmless twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def correct(self, held: int, actual: int) -> None:
        """What was thought to be `held` is `actual`; never waits, for it is there already."""
        with self._changed:
            self._held += actual - held
            self._largest = max(self._largest, actual)
            self._changed.notify_all()


class Room:
    """What one piece of work holds of a budget."""

    def __init__(self, budget: Budget, amount: int) -> None:
        self.amount = amount
        self._budget = budget

    def settle(self, actual: int) -> None:
        """It is so large."""
        self._budget.correct(self.amount, actual)
        self.amount = actual
