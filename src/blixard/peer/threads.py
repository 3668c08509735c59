"""Threads of one piece of work, so that none outlives it.

Every thread that a share or a fetch starts is in one of these, and ends before its `join` does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Threads:
    """Starts named threads and waits for them. What makes them end is the owner's business."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._running: set[threading.Thread] = set()
        self._closed = False

    def spawn(self, task: str, run: Callable[[], None]) -> bool:
        """Start one; False, and nothing is started, after `join` has begun."""
        with self._lock:
            if self._closed:
                return False
            thread = threading.Thread(target=self._run, args=(run,), name=f"{self._name}-{task}", daemon=True)
            self._running.add(thread)
            thread.start()
            return True

    def close(self) -> None:
        """Start no more."""
        with self._lock:
            self._closed = True

    def join(self) -> None:
        """Wait for all but the calling one; nothing is started any more. Harmless twice."""
        self.close()
        while True:
            with self._lock:
                others = self._running - {threading.current_thread()}
            if not others:
                return
            for thread in others:
                thread.join()

    def _run(self, run: Callable[[], None]) -> None:
        try:
            run()
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())
