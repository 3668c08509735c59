"""Signals handled otherwise for the length of a block: the one place that sets their handlers and puts them back."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


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
