"""How far long work is: a bar on a terminal, a line now and then for a log, silence for a script.

rich is imported only when there is a bar to draw.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Self, TextIO

from blixard.cli.screen.meter import ProgressMeter
from blixard.cli.screen.output import Console, is_terminal
from blixard.errors import UsageError
from blixard.site.signals import handling

if TYPE_CHECKING:
    from blixard.cli.screen.bar import Bar

PLAIN_SECONDS = 60.0
BAR_SECONDS = 0.125


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
def showing_progress(out: Console, style: Style, *, plain_seconds: float = PLAIN_SECONDS) -> Iterator[ProgressMeter]:
    """A meter for the work inside; SIGUSR1 prints how far it is, whatever the style."""
    meter = ProgressMeter(out)
    if style is Style.BAR:
        with _bar(out) as bar, _line_above_bar(meter, out) as tell_if_asked:

            def show() -> None:
                tell_if_asked()
                bar.show(meter.rows())

            with Ticker(BAR_SECONDS, show):
                yield meter
        return
    with _on_sigusr1(lambda: _write(meter.standing())):
        if style is Style.OFF:
            yield meter
            return
        _tell(meter.lines(), out, "begun")
        with Ticker(plain_seconds, lambda: _tell(meter.standing(), out)):
            yield meter
        _tell(meter.lines(), out, "done")


def _tell(lines: tuple[str, ...], out: Console, word: str = "") -> None:
    for line in lines or ("",):
        out.status(": ".join(part for part in (word, line) if part))


@contextmanager
def _bar(out: Console) -> Iterator[Bar]:
    from blixard.cli.screen.bar import Bar

    with Bar() as bar:
        out.aside = bar.aside
        try:
            yield bar
        finally:
            out.aside = nullcontext


@contextmanager
def _line_above_bar(meter: ProgressMeter, out: Console) -> Iterator[Callable[[], None]]:
    """Gives what draws the bar a function to call, which says how far it is if SIGUSR1 has asked since.

    Said by the signal's own handler, the line would stand across what is being drawn.
    """
    asked = False

    def ask() -> None:
        nonlocal asked
        asked = True

    def tell_if_asked() -> None:
        nonlocal asked
        if asked:
            asked = False
            _tell(meter.standing(), out)

    with _on_sigusr1(ask):
        yield tell_if_asked


def _write(lines: tuple[str, ...]) -> None:
    """Straight to the descriptor: the signal may have interrupted a write to sys.stderr."""
    with suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), "".join(f"{line}\n" for line in lines).encode())


def _on_sigusr1(act: Callable[[], None]) -> AbstractContextManager[None]:
    """Call `act` at each SIGUSR1 that comes inside; it takes no lock, which the interrupted thread may hold."""
    return handling({signal.SIGUSR1: lambda _number, _frame: act()})
