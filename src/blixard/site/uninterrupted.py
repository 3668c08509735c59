"""Ctrl-C and a polite kill at the moment when a change is made: too late, the command ends as one that has done it.

Told otherwise, somebody would believe that nothing happened. Before that moment, an interrupt takes everything back.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blixard.site.signals import handling, too_late

if TYPE_CHECKING:
    from blixard.ports import Input, Output

_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What comes inside to interrupt the command is dropped. Keep the inside short."""
    handled = [number for number in _INTERRUPTING if callable(signal.getsignal(number))]
    with handling(dict.fromkeys(handled, lambda _number, _frame: None)):
        yield


def publish(output: Output, verify: Callable[[Input], None] | None = None) -> None:
    """Give what was written its name; from that moment on the command ends as one that has done it.

    A stream has no such moment, and may wait for its reader: that is interrupted as everything else.

    Raises:
        as `Output.commit`.
    """
    if output.folder is None or verify is None:
        if output.folder is not None:
            too_late()
        output.commit(verify)
        return

    def verified(given: Input) -> None:
        verify(given)
        too_late()

    output.commit(verified)
