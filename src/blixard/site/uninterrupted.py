"""Ctrl-C and a polite kill at the moment when a change is made: too late, the command ends as one that has done it.

Told otherwise, somebody would believe that nothing happened. Before that moment, an interrupt takes everything back.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What comes inside to interrupt the command is dropped. Keep the inside short."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt the main thread only
        return
    before = {number: handler for number in _INTERRUPTING if callable(handler := signal.getsignal(number))}
    try:
        for number in before:
            signal.signal(number, _too_late)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _too_late(_number: int, _frame: object) -> None:
    pass
