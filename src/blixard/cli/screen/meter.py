"""What long work counts, as rows that a screen shows.

`advance` is called thousands of times a second from several threads, so it adds to a number and nothing else; whoever
shows it looks at the number in its own time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from blixard.cli.screen import human
from blixard.cli.screen.output import Console


class Row(Struct, frozen=True):
    """One thing that goes on: bytes done, of how many when anybody knows, in how many seconds."""

    name: str
    done: int
    total: int | None
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes a second since it began."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None when nobody knows how much there is."""
        if not self.total or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate


Rows = tuple[Row, ...]


class Shown(Protocol):
    """What has rows of its own to show in the place of a meter's, as the receivers of a share.

    Neither call takes a lock: a signal may have interrupted the thread that holds it.
    """

    def rows(self) -> Rows:
        """What goes on now; none when nothing does."""

    def lines(self) -> tuple[str, ...]:
        """How far each of them is, for whoever asks with SIGUSR1: at least one line."""


def one_line(row: Row) -> str:
    """`web-1/root: 1.2 GiB of 4.0 GiB, 310.0 MiB/s, 9s left`."""
    of = f" of {human.size(row.total)}" if row.total else ""
    parts = [f"{human.size(row.done)}{of}", f"{human.size(int(row.rate))}/s"]
    if row.seconds_left is not None:
        parts.append(f"{human.duration(timedelta(seconds=row.seconds_left))} left")
    text = ", ".join(parts)
    return f"{human.visible(row.name)}: {text}" if row.name else text


class ProgressMeter:
    """`ports.Progress` that counts; what shows it reads `rows()`, `lines()` or `standing()`.

    Those three take no lock, because a signal may interrupt the thread that holds it.
    """

    def __init__(self, out: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self._lock = threading.Lock()
        self._began: float | None = None
        self._task, self._task_done, self._task_began, self._done = "", 0, 0.0, 0
        self._task_bytes: int | None = None
        self._expected: int | None = None
        self._other: Shown | None = None

    def expect(self, total_bytes: int) -> None:
        """All tasks together are this many guest bytes."""
        self._expected = total_bytes

    def begin(self, task: str, total_bytes: int | None) -> None:
        """A part of the work starts."""
        with self._lock:
            self._task_began = self._now()
            self._began = self._began or self._task_began
            self._task, self._task_bytes, self._task_done = task, total_bytes, 0

    def advance(self, amount_bytes: int) -> None:
        """That many more guest bytes of the current task are done."""
        with self._lock:
            self._began = self._began or self._now()
            self._task_done += amount_bytes
            self._done += amount_bytes

    def end(self) -> None:
        """The current task is done."""
        with self._lock:
            self._task, self._task_bytes, self._task_done = "", None, 0

    def warn(self, message: str) -> None:
        """Tell the operator, above the bar when there is one."""
        self._out.warn(message)

    def show_instead(self, other: Shown) -> None:
        """From now on show the rows of `other`; what was counted so far is over, and no part of them."""
        self._other = other

    def rows(self) -> Rows:
        """The task at hand and all of them; one row when that is the same, none before the first byte."""
        if self._other is not None:
            return self._other.rows()
        return _rows(self._task_row(), self._whole())

    def lines(self) -> tuple[str, ...]:
        """For a log: one line that says how far all of it is and at which task, or a line for each row of `other`."""
        if self._other is not None:
            return tuple(map(one_line, self._other.rows()))
        task, whole = self._task_row(), self._whole()
        last = _rows(task, whole)[-1] if task.name else whole
        return (one_line(Row(task.name, last.done, last.total, last.seconds)),)

    def standing(self) -> tuple[str, ...]:
        """For whoever asks in between, with SIGUSR1: as `lines`, and what `other` waits for."""
        return self.lines() if self._other is None else self._other.lines()

    def _task_row(self) -> Row:
        return Row(self._task, self._task_done, self._task_bytes, self._now() - self._task_began)

    def _whole(self) -> Row:
        now = self._now()
        return Row("all", self._done, self._expected, now - (self._began or now))


def _rows(task: Row, whole: Row) -> Rows:
    if not task.name:
        # between two tasks, and behind the last one: all that was begun is done
        known = whole.total or whole.done
        return (Row("all", whole.done, known, whole.seconds),) if known else ()
    if whole.done == task.done and whole.total in (None, task.total):
        return (task,)
    return (task, whole)
