"""What is done to open files: whole writes, syncs, bounded reads.

`os.write` may write less than it was given and `os.fsync` may fail once and then succeed with the data gone: here both
are done, or a StorageError. A path goes along with each descriptor because the error names it.
"""

from __future__ import annotations

import os
import stat

from blixard.closing import Closing
from blixard.errors import LimitExceeded
from blixard.files.seam import AnyPath, before, mutating, storage_error, translated

_READ_STEP = 1 << 20


class OwnedDescriptor(Closing):
    """Something that has a descriptor of its own, until `close`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1  # first: an interrupt in between must not have it closed twice
            os.close(fd)


def pwrite_all(fd: int, data: bytes | memoryview, offset: int, path: AnyPath) -> None:
    """Write all of `data` at `offset`; thread-safe, the file position does not move.

    Raises:
        StorageError: naming `path`; a part may have been written.
    """
    try:
        before("write", path)
        rest = memoryview(data).cast("B")
        written = os.pwrite(fd, rest, offset)
        while written < len(rest):
            written += os.pwrite(fd, rest[written:], offset + written)
    except OSError as error:
        raise storage_error("write", path, error) from error


def pread(fd: int, length: int, offset: int, path: AnyPath) -> bytes:
    """The bytes at `offset`, fewer only at the end of the file; thread-safe, the file position does not move."""
    with translated("read", path):
        data = os.pread(fd, length, offset)
        while len(data) < length and (more := os.pread(fd, length - len(data), offset + len(data))):
            data += more
        return data


def write_all(fd: int, data: bytes | memoryview, path: AnyPath) -> None:
    """Write all of `data` at the file position (pipes and terminals too).

    Raises:
        StorageError: naming `path`; a part may have been written.
    """
    try:
        before("write", path)
        rest = memoryview(data).cast("B")
        written = os.write(fd, rest)
        while written < len(rest):
            written += os.write(fd, rest[written:])
    except OSError as error:
        raise storage_error("write", path, error) from error


def truncate(fd: int, size_bytes: int, path: AnyPath) -> None:
    """Set the size of an open file; what is added reads as zeros and takes no space."""
    with mutating("truncate", path):
        os.ftruncate(fd, size_bytes)


def fdatasync(fd: int, path: AnyPath) -> None:
    """Make the content durable. After a failure the data is lost, not pending: never try again."""
    with mutating("fdatasync", path):
        os.fdatasync(fd)


def fsync(fd: int, path: AnyPath) -> None:
    """Make content and metadata durable. After a failure the data is lost, not pending: never try again."""
    with mutating("fsync", path):
        os.fsync(fd)


def read_bytes(path: AnyPath, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes; a symlink as last component is refused.

    Raises:
        StorageError: naming `path`; not there, not readable, not a regular file.
        LimitExceeded: the file is larger.
    """
    with translated("read", path):
        # O_NONBLOCK: a FIFO that somebody put there must not hang us before we can see what it is
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(0, "not a regular file")
            return _read_up_to(fd, limit, path)
        finally:
            os.close(fd)


def _read_up_to(fd: int, limit: int, path: AnyPath) -> bytes:
    parts: list[bytes] = []
    left = limit + 1
    while left > 0:
        part = os.read(fd, min(left, _READ_STEP))
        if not part:
            return b"".join(parts)
        parts.append(part)
        left -= len(part)
    raise LimitExceeded(f"`{os.fspath(path)}` is larger than {limit} bytes")
