"""How far long work is: a bar on a terminal, a line now and then for a log, silence for a script.

`advance` is called thousands of times a second from several threads, so it adds to a number and nothing else; whoever
shows it looks at the number in its own time. rich is imported only when there is a bar to draw.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from enum import StrEnum
from types import FrameType
from typing import TYPE_CHECKING, Self, TextIO

from msgspec import Struct

from blixard.cli import human
from blixard.cli.output import Output, is_terminal
from blixard.errors import UsageError

if TYPE_CHECKING:
    from blixard.cli.bar import Bar

PLAIN_SECONDS = 60.0
BAR_SECONDS = 0.125


class Style(StrEnum):
    """How progress is shown."""

    OFF = "off"
    PLAIN = "plain"
    BAR = "bar"


class Reading(Struct, frozen=True):
    """How far the work is: bytes and seconds. `expected` and `task_bytes` are None when nobody knows."""

    task: str
    task_done: int
    task_bytes: int | None
    done: int
    expected: int | None
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes a second since the work began."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None when nobody knows how much there is."""
        if not self.expected or not self.rate:
            return None
        return max(0, self.expected - self.done) / self.rate


class Meter:
    """`ports.Progress` that counts; what shows it reads `reading()`."""

    def __init__(self, out: Output, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self._lock = threading.Lock()
        self._began = now()
        self._task, self._task_done, self._done = "", 0, 0
        self._task_bytes: int | None = None
        self._expected: int | None = None

    def expect(self, total_bytes: int) -> None:
        """All tasks together are this many guest bytes."""
        self._expected = total_bytes

    def begin(self, task: str, total_bytes: int | None) -> None:
        """A part of the work starts."""
        with self._lock:
            self._task, self._task_bytes, self._task_done = task, total_bytes, 0

    def advance(self, amount_bytes: int) -> None:
        """That many more guest bytes of the current task are done."""
        with self._lock:
            self._task_done += amount_bytes
            self._done += amount_bytes

    def end(self) -> None:
        """The current task is done."""
        with self._lock:
            self._task, self._task_bytes, self._task_done = "", None, 0

    def warn(self, message: str) -> None:
        """Tell the operator, above the bar when there is one."""
        self._out.warn(message)

    def reading(self) -> Reading:
        """How far the work is. Takes no lock: a signal may interrupt the thread that holds it."""
        elapsed = self._now() - self._began
        return Reading(self._task, self._task_done, self._task_bytes, self._done, self._expected, elapsed)


class Ticker:
    """Calls `show` every `seconds` in a thread of its own, until stopped."""

    def __init__(self, seconds: float, show: Callable[[], None]) -> None:
        self._seconds = seconds
        self._show = show
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._show()


def choose_style(environment: Mapping[str, str], stream: TextIO | None, *, quiet: bool) -> Style:
    """BLIXARD_PROGRESS, else a bar on a terminal that can draw one, else nothing.

    Raises:
        UsageError: BLIXARD_PROGRESS is something else.
    """
    wish = environment.get("BLIXARD_PROGRESS")
    if wish and wish not in set(Style):
        raise UsageError(f"BLIXARD_PROGRESS is `{wish[:20]}`", hint="it can be `off`, `plain` or `bar`")
    able = is_terminal(stream) and environment.get("TERM", "dumb") != "dumb"
    if quiet or wish == Style.OFF:
        return Style.OFF
    if wish == Style.PLAIN:
        return Style.PLAIN
    return Style.BAR if able else Style.OFF


def one_line(reading: Reading) -> str:
    """`web-1/root: 1.2 GiB of 4.0 GiB, 310.0 MiB/s, 9s left`."""
    of = f" of {human.size(reading.expected)}" if reading.expected else ""
    parts = [f"{human.size(reading.done)}{of}", f"{human.size(int(reading.rate))}/s"]
    if reading.seconds_left is not None:
        from datetime import timedelta

        parts.append(f"{human.duration(timedelta(seconds=reading.seconds_left))} left")
    text = ", ".join(parts)
    return f"{human.visible(reading.task)}: {text}" if reading.task else text


@contextmanager
def showing_progress(out: Output, style: Style, *, plain_seconds: float = PLAIN_SECONDS) -> Iterator[Meter]:
    """A meter for the work inside; SIGUSR1 prints one line of it, whatever the style."""
    meter = Meter(out)
    with _line_on_signal(meter):
        if style is Style.OFF:
            yield meter
        elif style is Style.PLAIN:
            _tell(meter, out, "begun")
            with Ticker(plain_seconds, lambda: _tell(meter, out)):
                yield meter
            _tell(meter, out, "done")
        else:
            with _bar(out) as bar, Ticker(BAR_SECONDS, lambda: bar.show(meter.reading())):
                yield meter


def _tell(meter: Meter, out: Output, word: str = "") -> None:
    line = one_line(meter.reading())
    out.status(f"{word}: {line}" if word else line)


@contextmanager
def _bar(out: Output) -> Iterator[Bar]:
    from blixard.cli.bar import Bar

    with Bar() as bar:
        out.aside = bar.aside
        try:
            yield bar
        finally:
            out.aside = nullcontext


@contextmanager
def _line_on_signal(meter: Meter) -> Iterator[None]:
    def tell(_number: int, _frame: FrameType | None) -> None:
        # straight to the descriptor: the signal may have interrupted a write to sys.stderr
        with suppress(OSError, ValueError, AttributeError):
            os.write(sys.stderr.fileno(), f"{one_line(meter.reading())}\n".encode())

    try:
        before = signal.signal(signal.SIGUSR1, tell)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
