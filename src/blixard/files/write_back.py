"""Ask the kernel to write a range of a file to its disk now, without waiting for it.

Linux begins by itself when a tenth of the memory is dirty, so that the `fsync` at the end of an export would wait for
almost all of the file; begun early, the disk works while we compress. Nothing is promised: `fsync` still is what makes
the file durable and tells about errors, which a range that is only begun does not take away from it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

_WRITE = 2
"""SYNC_FILE_RANGE_WRITE: begin with what is dirty and not on its way; wait for nothing."""


def begin_write_back(fd: int, offset: int, length: int) -> None:
    """Begin to write `length` bytes at `offset`; where that cannot be, nothing happens."""
    _sync_file_range()(fd, offset, length, _WRITE)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], object]:
    """sync_file_range(2) of libc, which Python does not have; elsewhere than on Linux nothing."""
    import ctypes

    try:
        call = ctypes.CDLL(None).sync_file_range
    except AttributeError:
        return _nothing
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    call.restype = ctypes.c_int
    found: Callable[[int, int, int, int], object] = call
    return found


def _nothing(_fd: int, _offset: int, _length: int, _flags: int) -> None:
    return None
