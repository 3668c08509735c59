"""What the threads of a share have to say, written by a thread of its own.

Whoever reads a pipe may stop reading, and then the next write waits for ever. No receiver may wait for that; and as any
stranger is worth a line, lines must not pile up either: what finds the outbox full is not said, and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Self

Write = Callable[[], None]

_MOST = 1000
_PARTING_SECONDS = 5.0


class Outbox:
    """Writes what is posted, in order. A context manager: at its end what waits is written, if anybody reads.

    Args:
        missed: says how many were not said, when there is room again.
        most: how many may wait.
        parting_seconds: how long the end waits for a reader.
    """

    def __init__(
        self, missed: Callable[[int], None], most: int = _MOST, parting_seconds: float = _PARTING_SECONDS
    ) -> None:
        self._tell_missed = missed
        self._most = most
        self._parting_seconds = parting_seconds
        self._changed = threading.Condition()
        self._waiting: deque[Write] = deque()
        self._missed = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def post(self, write: Write) -> None:
        """Have it called soon; never waits. From any thread."""
        with self._changed:
            if self._closed:
                return
            if len(self._waiting) >= self._most:
                self._missed += 1
                return
            self._waiting.append(write)
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(self._parting_seconds)

    def _run(self) -> None:
        while (write := self._next()) is not None:
            try:
                write()
            except (OSError, ValueError):  # nobody listens any more
                with self._changed:
                    self._closed = True
                    self._waiting.clear()
                return

    def _next(self) -> Write | None:
        """What is to be written now; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            write = self._waiting.popleft()
            if self._missed:
                missed, self._missed = self._missed, 0
                self._waiting.append(lambda: self._tell_missed(missed))
            return write
