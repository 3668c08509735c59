"""How far long work is: a bar on a terminal, a line now and then for a log, silence for a script.

rich is imported only when there is a bar to draw.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from enum import StrEnum
from types import FrameType
from typing import TYPE_CHECKING, Self, TextIO

from blixard.cli.meter import Meter
from blixard.cli.output import Output, is_terminal
from blixard.errors import UsageError

if TYPE_CHECKING:
    from blixard.cli.bar import Bar

PLAIN_SECONDS = 60.0
BAR_SECONDS = 0.125
IDLE = "nothing goes on"


class Style(StrEnum):
    """How progress is shown."""

    OFF = "off"
    PLAIN = "plain"
    BAR = "bar"


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


@contextmanager
def showing_progress(out: Output, style: Style, *, plain_seconds: float = PLAIN_SECONDS) -> Iterator[Meter]:
    """A meter for the work inside; SIGUSR1 prints how far it is, whatever the style."""
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
            with _bar(out) as bar, Ticker(BAR_SECONDS, lambda: bar.show(meter.rows())):
                yield meter


def _tell(meter: Meter, out: Output, word: str = "") -> None:
    lines = meter.lines() or (("",) if word else (IDLE,))
    for line in lines:
        out.status(": ".join(part for part in (word, line) if part))


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
            os.write(sys.stderr.fileno(), "".join(f"{line}\n" for line in meter.lines() or (IDLE,)).encode())

    try:
        before = signal.signal(signal.SIGUSR1, tell)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
