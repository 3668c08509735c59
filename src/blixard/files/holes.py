"""What of a file is stored, and giving it back to the file system: the range reads as zeros and takes no space.

Python has no `fallocate` with flags before 3.15, so the call goes to libc; where a file system cannot punch holes (NFS
before 4.2, FUSE) zeros are written over what is stored.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Iterator

from blixard.files.descriptors import pwrite_all
from blixard.files.seam import AnyPath, before, storage_error

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
_STEP = 1 << 20


def data_ranges(fd: int, start: int, end: int, path: AnyPath) -> Iterator[tuple[int, int]]:
    """(start, end) of what the file system stores between `start` and `end`; all of it where it cannot say."""
    while start < end:
        try:
            data = os.lseek(fd, start, os.SEEK_DATA)
            hole = os.lseek(fd, data, os.SEEK_HOLE) if data < end else end
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
                raise storage_error("find the data of", path, error) from error
            yield start, end
            return
        if data >= end:
            return
        yield data, min(hole, end)
        start = hole


def punch_hole(fd: int, offset: int, length: int, path: AnyPath) -> None:
    """Make `length` bytes at `offset` zeros, without changing the size of the file."""
    try:
        before("punch a hole in", path)
        _fallocate()(fd, _PUNCH_HOLE_KEEP_SIZE, offset, length)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.ENOSYS}:
            raise storage_error("punch a hole in", path, error) from error
    else:
        return
    end = min(offset + length, os.fstat(fd).st_size)
    for start in range(offset, end, _STEP):
        pwrite_all(fd, bytes(min(_STEP, end - start)), start, path)


@functools.cache
def _fallocate() -> Callable[[int, int, int, int], None]:
    """Look up fallocate(2) of libc; what is returned raises OSError."""
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    call.restype = ctypes.c_int

    def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
        while call(fd, mode, offset, length) != 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number))

    return fallocate
