"""Threads of one piece of work, so that none outlives it, and none ends in silence.

Every thread that a share or a fetch starts is in one of these, and ends before its `join` does. What a task should not
have raised goes to its owner: an owner that only missed a thread would wait for ever for what it was to bring.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Failed = Callable[[Exception], None]
"""Told, in the thread that ends by it, what a task raised, or that it could not be started. Must not raise."""


class Threads:
    """Starts named threads and waits for them. What makes them end is the owner's business.

    Args:
        name: the first word of the threads' names.
        failed: the owner, for tasks that have none of their own; None: Python's own hook prints it.
    """

    def __init__(self, name: str, *, failed: Failed | None = None) -> None:
        self._name = name
        self._failed = failed
        self._lock = threading.Lock()
        self._running: set[threading.Thread] = set()
        self._closed = False

    def spawn(self, task: str, run: Callable[[], None], *, failed: Failed | None = None) -> bool:
        """Start a thread for a task.

        Args:
            task: the last word of the thread's name.
            run: what it does.
            failed: the owner of this task, when it is another than that of all.

        Returns:
            False, and nothing is started, after `join` has begun, or when the system has no thread left; then the
            owner is told.
        """
        failed = failed or self._failed
        with self._lock:
            if self._closed:
                return False
            thread = threading.Thread(target=self._run, args=(run, failed), name=f"{self._name}-{task}", daemon=True)
            try:
                thread.start()
            except RuntimeError as problem:
                refused = problem
            else:
                self._running.add(thread)  # it cannot have ended: for that it needs the lock
                return True
        if failed is None:
            raise refused
        failed(refused)
        return False

    def close(self) -> None:
        """Start no more threads; those that run go on."""
        with self._lock:
            self._closed = True

    def join(self) -> None:
        """Wait for every thread but the calling one; nothing is started any more."""
        self.close()
        while True:
            with self._lock:
                others = self._running - {threading.current_thread()}
            if not others:
                return
            for thread in others:
                thread.join()

    def _run(self, run: Callable[[], None], failed: Failed | None) -> None:
        try:
            run()
        except Exception as problem:
            if failed is None:
                raise
            failed(problem)
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())
