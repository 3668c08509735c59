"""Objects of the Iroh binding are freed in the turn of its loop, wherever they die.

The binding calls Python back while it holds the lock of a connection, and Python may collect garbage within any call.
A stream that is freed there waits for that very lock, in the thread that holds it: for ever, and everybody else who
uses the connection with it. So an object that dies only queues up; in its turn the loop holds none of these locks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

Free = Callable[[Any], object]
"""A class's generated `__del__`."""


class _Dead:
    """The objects that wait to be freed, and the loop that frees them: module globals that are set without `global`."""

    queue: ClassVar[deque[tuple[Free, object]]] = deque()
    loop: asyncio.AbstractEventLoop | None = None


def defer_frees(ffi: Any) -> tuple[type, ...]:
    """Have the objects of the binding `ffi` freed as above; gives their classes.

    The generated `__del__` is called once for each object, as before: Python finalizes an object only once (PEP 442),
    also when it lives on in the queue.
    """
    classes = tuple(each for each in vars(ffi).values() if isinstance(each, type) and _has_handle(each))
    for each in classes:
        _defer(each)
    return classes


def free_in(loop: asyncio.AbstractEventLoop | None) -> None:
    """From now on objects are freed in the turn of `loop`; None: at once, and also those that the last loop left.

    Set it to None when the loop has ended, not before.
    """
    _Dead.loop = loop
    if loop is None:
        while _Dead.queue:
            _free_one()


def _has_handle(each: type) -> bool:
    return "__del__" in vars(each) and "_uniffi_clone_handle" in vars(each)


def _defer(owner: Any) -> None:
    free: Free = owner.__del__

    def die(dead: object) -> None:
        _Dead.queue.append((free, dead))
        if not _frees_soon(_Dead.loop):
            _free_one()

    owner.__del__ = die


def _frees_soon(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Have the loop free one object; False when there is none or it has ended: nothing calls back any more then."""
    if loop is None:
        return False
    try:
        loop.call_soon_threadsafe(_free_one)
    except RuntimeError:
        return False
    return True


def _free_one() -> None:
    try:
        free, dead = _Dead.queue.popleft()
    except IndexError:
        return  # the one that queued up for this call went with the rest
    free(dead)
