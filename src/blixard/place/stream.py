"""A pipe, FIFO or device as an output: written as it comes, with no way back.

What makes a cut-short stream safe is the format: every reader refuses a document that ends before its `integrity`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from blixard import files
from blixard.closing import Closing
from blixard.errors import RefusedError, StorageError, UsageError
from blixard.ports import Input


class StreamOutput(Closing):
    """An output over an open descriptor.

    Args:
        fd: to write to.
        name: for people.
        owned: close the descriptor at the end.
        sink: writes to `fd`; another one only where errors mean something else.
    """

    folder = None

    def __init__(self, fd: int, name: str, *, owned: bool, sink: files.SinkStream | None = None) -> None:
        self._fd: int | None = fd
        self._owned = owned
        self._sink = sink or files.SinkStream(fd, name)
        self.name = name
        self.file: BinaryIO = files.buffered_sink(self._sink)

    def commit(self, verify: Callable[[Input], None] | None = None) -> None:
        """Write out what is buffered, and make it durable where it can be. See `Output.commit`."""
        if self._fd is None:
            raise ValueError("this output is committed or closed already")
        try:
            if verify is not None:
                raise UsageError(f"`{self.name}` cannot be read back to verify it", hint="export to a file")
            self._push(self._fd)
        finally:
            self.close()

    def close(self) -> None:
        """See `Output.close`; what is buffered is thrown away."""
        if self._fd is None:
            return
        self._sink.discard()
        self.file.close()
        fd, self._fd = self._fd, None  # first: an interrupt in between must not have it closed twice
        if self._owned:
            os.close(fd)

    def _push(self, fd: int) -> None:
        self.file.flush()
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
            files.fsync(fd, self.name)


def open_device(path: Path) -> int:
    """A descriptor for writing of the FIFO or device at `path`; a FIFO waits for its reader.

    Raises:
        RefusedError: a block device that is mounted or otherwise in use.
        StorageError: it cannot be opened, or became something else.
    """
    is_block = stat.S_ISBLK(path.lstat().st_mode)
    # O_EXCL on a block device: the kernel refuses one that is mounted, part of a RAID or of an LVM volume
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | (os.O_EXCL if is_block else 0)
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if is_block and error.errno == errno.EBUSY:
            raise RefusedError(f"`{path}` is mounted or in use", hint="unmount it, or export to a file") from error
        raise files.storage_error("open", path, error) from error
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StorageError(f"cannot write `{path}`: it was replaced by a file meanwhile", hint="run the export again")
    return fd
