"""Signals handled otherwise for the length of a block: the one place that sets their handlers and puts them back.

Those that end a command are exceptions, and an exception of a handler can be lost: Python passes over one that is
raised in a callback or in `__del__`, and C code clears what its look-ups raise (msgspec, while it looks at the types of
a struct). A share that was told to stop then served on. So it is raised again until it is seen to be handled.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], object]

_MOMENT = 0.02
"""Seconds until it is looked whether a signal's exception was heard: not in the callback that may have lost it."""


@contextmanager
def handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Have these signals handled like this inside; in another thread than the main one, which gets none, do nothing."""
    before = {}
    try:
        with suppress(ValueError):  # not the main thread
            for number, handler in handlers.items():
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def interrupting(kinds: Mapping[signal.Signals, type[KeyboardInterrupt]]) -> Iterator[None]:
    """Have these signals raise these exceptions inside, again and again until one is handled."""
    interrupts = _Interrupts(kinds)
    hook, sys.unraisablehook = sys.unraisablehook, lambda lost: interrupt_behind(lost.exc_value) or hook(lost)
    try:
        with handling(dict.fromkeys(kinds, interrupts.come)):
            try:
                yield
            finally:
                interrupts.end()
    finally:
        sys.unraisablehook = hook


def heard() -> None:
    """What catches an interrupt and goes on says so, or it is raised again: nothing shows that it was handled."""
    if isinstance(getattr(signal.getsignal(signal.SIGALRM), "__self__", None), _Interrupts):
        signal.setitimer(signal.ITIMER_REAL, 0)


def too_late(*, late: bool = True) -> None:
    """What the command was to do is about to be done, or is: from now on it ends as one that has done it.

    An interrupt behind that point would be told, and noted in the history, as if nothing had happened. With `late`
    False something else begins (a share behind an export), which may be interrupted again.
    """
    interrupts = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(interrupts, _Interrupts):
        interrupts.over = late


class _Interrupts:
    """Raises the exceptions, and looks a moment later whether one is being handled.

    The moment is measured by the process's timer and not by a thread: to start one, a lock of `threading` is taken that
    the interrupted code may hold.
    """

    def __init__(self, kinds: Mapping[signal.Signals, type[KeyboardInterrupt]]) -> None:
        self._kinds = kinds
        self._last = signal.SIGINT
        self.over = False
        """True: nothing is raised."""
        self._before: tuple[Any, tuple[float, float]] | None = None

    def come(self, number: int, _frame: FrameType | None) -> None:
        if self.over:
            return
        self._last = signal.Signals(number)
        handler = signal.signal(signal.SIGALRM, self._look)
        timer = signal.setitimer(signal.ITIMER_REAL, _MOMENT)
        self._before = self._before or (handler, timer)
        raise self._kinds[self._last]

    def _look(self, _number: int, _frame: FrameType | None) -> None:
        if not self.over and interrupt_behind(sys.exc_info()[1]) is None:
            signal.raise_signal(self._last)  # whoever handles it by now: a share stops in its own way

    def end(self) -> None:
        """Raise nothing any more."""
        self.over = True
        if self._before is not None:
            handler, timer = self._before
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, handler)


def interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that `error` is, or while handling which it came, as click's `Abort` does."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error
