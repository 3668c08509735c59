"""Worker threads that take tasks in order, with a bound on what is in flight.

One place for the three things that threads get wrong: unbounded queues, errors that depend on which thread was faster,
and threads that outlive their work. The heavy calls (zstd, BLAKE3, base64, igzip, pread) release the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from blixard.closing import Closing
from blixard.disks.records.memory import keep_freed_memory
from blixard.errors import InternalError

Task = Callable[[], None]


class Crew(Closing):
    """`threads` workers. Tasks begin in the order in which they were given; the first error in that order is the error.

    Args:
        threads: at least 1.
        weight: bound on the sum of the weights in flight (bytes, usually); a single heavier task passes alone.
        name: what the threads are called in a stack dump.
    """

    def __init__(self, threads: int, *, weight: int, name: str) -> None:
        keep_freed_memory()
        self._bound = weight
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._queue: deque[tuple[int, Task, int]] = deque()
        self._weight = 0
        self._running = 0
        self._given = 0
        self._failure: tuple[int, BaseException] | None = None
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task, weight: int) -> None:
        """Queue a task, waiting for room; raise what an earlier task raised."""
        with self._lock:
            while self._weight and self._weight + weight > self._bound and not (self._failure or self._closed):
                self._room.wait()
            self._raise_failure()
            if self._closed:
                raise InternalError("a task was given to workers that were sent home")
            self._queue.append((self._given, task, weight))
            self._given += 1
            self._weight += weight
            self._work.notify()

    def drain(self) -> None:
        """Wait until everything that was given is done; raise what a task raised."""
        with self._lock:
            while self._queue or self._running:
                self._room.wait()
            self._raise_failure()

    def close(self) -> None:
        """Drop what has not begun, wait for what has, end the threads; raises nothing."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._work.notify_all()
            self._room.notify_all()
        for thread in self._threads:
            thread.join()

    def _raise_failure(self) -> None:
        """Under the lock. Tasks begin in order, so once none runs, the failure kept is the first of the whole order."""
        if self._failure is None:
            return
        while self._running:
            self._room.wait()
        raise self._failure[1]

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._queue and not self._closed:
                    self._work.wait()
                if self._closed:
                    return
                number, task, weight = self._queue.popleft()
                self._running += 1
            problem: BaseException | None = None
            try:
                task()
            except BaseException as caught:  # noqa: BLE001 - handed to the thread that gave the task, whatever it is
                problem = caught
            del task  # a task holds its record's bytes; an idle worker must not
            self._finished(number, weight, problem)

    def _finished(self, number: int, weight: int, problem: BaseException | None) -> None:
        with self._lock:
            self._running -= 1
            self._weight -= weight
            if problem is not None:
                if self._failure is None or number < self._failure[0]:
                    self._failure = (number, problem)
                self._queue.clear()
            self._room.notify_all()
