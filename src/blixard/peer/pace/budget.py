"""A bound on bytes (or on anything that is counted) that several threads hold at once.

What a share holds in memory must not depend on how many receivers are slow.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from blixard.errors import TransferError
from blixard.limits import KIB, MIB

_FIRST_GUESS = MIB + KIB

Ended = Callable[[], bool]
"""True when the waiting call is to be given up. Asked under the budget's lock: must be quick."""

Settle = Callable[[int], None]
"""Told how much is really needed, of what was taken for the time being."""


def _never() -> bool:
    return False


class Budget:
    """At most `total` is held at once, by all threads together; a single larger amount passes alone."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._changed = threading.Condition()
        self._held = 0
        self._largest = _FIRST_GUESS
        self._closed = False

    @property
    def held(self) -> int:
        """How much is held now."""
        return self._held

    @property
    def largest(self) -> int:
        """The largest amount so far whose size was known only later; before the first, a guess."""
        return self._largest

    def take(self, amount: int, ended: Ended = _never) -> None:
        """Wait until so much is free.

        Args:
            amount: how much; more than `total` passes alone.
            ended: gives this call up, and no other; whoever makes it true calls `wake`.

        Raises:
            TransferError: the budget was closed, or `ended` is true.
        """
        with self._changed:
            while self._held and self._held + amount > self._total and not self._closed and not ended():
                self._changed.wait()
            if self._closed or ended():
                raise TransferError("the transfer was stopped")
            self._held += amount

    def give(self, amount: int) -> None:
        """Hand back what was taken."""
        with self._changed:
            self._held -= amount
            self._changed.notify_all()

    @contextmanager
    def room(self, ended: Ended = _never) -> Iterator[Settle]:
        """Room for something whose size is known only later: the largest so far is held until one calls what it gives.

        Raises:
            TransferError: as `take`.
        """
        held = self._largest
        self.take(held, ended)

        def settle(actual: int) -> None:
            nonlocal held
            with self._changed:  # never waits, for the bytes are in memory already
                self._held += actual - held
                self._largest = max(self._largest, actual)
                self._changed.notify_all()
            held = actual

        try:
            yield settle
        finally:
            self.give(held)

    def wake(self) -> None:
        """Have every waiting call look again whether it is to be given up."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Wake whoever waits, with an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Portions:
    """A budget for each receiver that is here: its sessions take from one, however many they are.

    Args:
        each: what each budget has.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._lock = threading.Lock()
        self._budgets: dict[str, Budget] = {}
        self._users: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._budgets)

    def join(self, receiver: str) -> Budget:
        """The budget of this receiver, for one more session; to be followed by `leave`."""
        with self._lock:
            self._users[receiver] += 1
            return self._budgets.setdefault(receiver, Budget(self._each))

    def leave(self, receiver: str) -> None:
        """Count one session less; the budget goes with the last."""
        with self._lock:
            self._users[receiver] -= 1
            if not self._users[receiver]:
                del self._users[receiver], self._budgets[receiver]
