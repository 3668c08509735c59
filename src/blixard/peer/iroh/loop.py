"""The one asyncio loop of the Iroh binding, in one thread, for callers that block.

One for the whole process: the binding keeps a single loop for all its calls, so two endpoints with a loop each would
resolve each other's futures. It starts with the first endpoint and ends with the last.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

from blixard.errors import TransferError
from blixard.peer.iroh.binding import load
from blixard.peer.iroh.freeing import free_in

T = TypeVar("T")

_SETTLE_ROUNDS = 8
"""Turns of the loop after the last task: a thread of the binding that is just calling back is let through."""


class LoopThread:
    """A running loop; made by `shared_loop`, ended by `release`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._gate = threading.Lock()
        self._over = False
        self._background: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._work, name="blixard-iroh", daemon=True)
        self.users = 0
        load().uniffi_set_event_loop(self._loop)
        free_in(self._loop)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; the calling thread waits. Interrupting it (Ctrl-C) cancels the work.

        Raises:
            TransferError: the loop has ended, or somebody cancelled the work.
        """
        with self._gate:
            if self._over:
                work.close()
                raise TransferError("the endpoint is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise TransferError("the endpoint is closed") from None
        except BaseException:
            future.cancel()
            raise

    def soon(self, call: Callable[[], object]) -> None:
        """Have `call` made in the loop, from any thread; not at all when the loop has ended."""
        with self._gate:
            if not self._over:
                self._loop.call_soon_threadsafe(call)

    def settle(self) -> None:
        """Wait until everything is done that the loop was given before, such as freeing objects of the binding."""
        self.run(asyncio.sleep(0))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Go on with `work`, which raises nothing, on the side; only from within the loop."""
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def end(self) -> None:
        """Cancel what is left, and join the thread."""
        with self._gate:
            self._over = True
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()
        free_in(None)
        load().uniffi_set_event_loop(None)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_ended())

    async def _until_ended(self) -> None:
        await self._ending.wait()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for _ in range(_SETTLE_ROUNDS):
            await asyncio.sleep(0)


class _Shared:
    """The loop of this process: a module global that is set without `global`."""

    lock = threading.Lock()
    loop: LoopThread | None = None


def shared_loop() -> LoopThread:
    """The process's loop, started when nobody has it yet; give it back with `release`."""
    with _Shared.lock:
        if _Shared.loop is None:
            _Shared.loop = LoopThread()
        _Shared.loop.users += 1
        return _Shared.loop


def release(loop: LoopThread) -> None:
    """Give the loop back; the user's objects are freed then. The last user ends it and waits for its thread."""
    with _Shared.lock:
        loop.users -= 1
        if loop.users == 0:
            _Shared.loop = None
            loop.end()
            return
    with suppress(TransferError):  # another user has ended it, and everything is freed
        loop.settle()
