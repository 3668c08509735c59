"""Send a growing file to its disk while it is still written, so that the `fsync` at its end finds little to do.

Linux begins by itself when a tenth of the memory is dirty: the last `fsync` would wait for almost all of the file. And
that the kernel has written everything is not the end: a virtual disk keeps it in the memory of its host, and the flush
that `fsync` asks for took 0.4 s of an export of 0.5 GB that ran for 2.6 s. So the kernel is asked to begin with each
16 MiB, and a thread has what is there flushed while the rest is compressed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from blixard.closing import Closing
from blixard.files.descriptors import fdatasync
from blixard.files.seam import AnyPath

WRITE_BACK_BYTES = 16 << 20
"""After so many bytes the kernel is asked to begin writing them."""
FLUSH_BYTES = 64 << 20
"""After so many bytes they are flushed; a smaller file has its last `fsync` and nothing else."""
_WRITE = 2
"""SYNC_FILE_RANGE_WRITE: begin with what is dirty and not on its way; wait for nothing."""


class WriteBack(Closing):
    """Follows one file that grows from its beginning; once closed, nothing uses the descriptor any more.

    The kernel tells an I/O error once for each descriptor: what a flush meets is kept, and `check` raises it for ever.
    """

    def __init__(self, fd: int, path: AnyPath) -> None:
        self._fd = fd
        self._path = path
        self._written = self._begun = self._flushed = 0
        self._wanted = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._problem: BaseException | None = None

    def advance(self, length: int) -> None:
        """`length` more bytes were written.

        Raises:
            StorageError: something that was written before could not be made durable.
        """
        self._written += length
        if self._written - self._begun >= WRITE_BACK_BYTES:
            begin_write_back(self._fd, self._begun, self._written - self._begun)
            self._begun = self._written
            self.check()
        if self._written - self._flushed >= FLUSH_BYTES:
            self._flushed = self._written
            self._flush_soon()

    def check(self) -> None:
        """Raise what a flush met.

        Raises:
            StorageError: the file is not what was written to it, and never will be.
        """
        if self._problem is not None:
            raise self._problem

    def close(self) -> None:
        """Wait until nothing uses the descriptor any more."""
        self._closing = True
        if self._thread is not None:
            self._wanted.set()
            self._thread.join()
            self._thread = None

    def _flush_soon(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="write-back", daemon=True)
            self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        while self._wanted.wait() and not self._closing:
            self._wanted.clear()  # before the flush: it is for all that was written until it begins
            try:
                fdatasync(self._fd, self._path)
            except BaseException as problem:  # noqa: BLE001 - raised on the writer's thread
                self._problem = problem
                return


def begin_write_back(fd: int, offset: int, length: int) -> None:
    """Ask the kernel to begin to write `length` bytes at `offset`; where that cannot be, nothing happens."""
    _sync_file_range()(fd, offset, length, _WRITE)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], object]:
    """sync_file_range(2) of libc, which Python does not have; elsewhere than on Linux nothing."""
    import ctypes

    try:
        call = ctypes.CDLL(None).sync_file_range
    except AttributeError:
        return lambda *_: None
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    call.restype = ctypes.c_int
    found: Callable[[int, int, int, int], object] = call
    return found
