"""Ctrl-C and a polite kill at the moment when a change is made: too late, the command ends as one that has done it.

Told otherwise, somebody would believe that nothing happened. Before that moment, an interrupt takes everything back.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from blixard.site.signals import handling

_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What comes inside to interrupt the command is dropped. Keep the inside short."""
    handled = [number for number in _INTERRUPTING if callable(signal.getsignal(number))]
    with handling(dict.fromkeys(handled, lambda _number, _frame: None)):
        yield
