"""Memory for records, as the machine likes it: at a page border, and kept when it is freed.

Both were found with `perf`: together they are a third of the CPU time of a plain export.
"""

from __future__ import annotations

import ctypes
import functools
import mmap

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)."""
_MAPPED_FROM = 32 << 20
"""The largest that glibc takes. More than any record."""
_KEPT = 64 << 20
"""At most so many free bytes stay at the end of a heap."""


class PageBuffer:
    """Bytes that begin at a page border.

    The page cache copies from page borders. Where a copy's target lies 1 to 16 bytes behind a page border, as that of a
    large `bytearray` does, `rep movs` of AMD's Zen 3 falls from 8 GB/s to 2.

    Attributes:
        view: all of it, `size` bytes. A buffer lives until its views are gone.
    """

    def __init__(self, size: int) -> None:
        self._bytes = bytearray(size + mmap.PAGESIZE)
        self._start = -ctypes.addressof(ctypes.c_char.from_buffer(self._bytes)) % mmap.PAGESIZE
        self.view = memoryview(self._bytes)[self._start : self._start + size]

    def is_zero(self, start: int, end: int) -> bool:
        """True when the bytes from `start` to `end`, at most 1 MiB, are all zero."""
        # memcmp without a copy, and done at the first byte that is not zero: 30 GB/s, numpy's any() 26
        return self._bytes.startswith(_zeros(end - start), self._start + start, self._start + end)


@functools.lru_cache(maxsize=4)
def _zeros(size: int) -> bytes:
    return bytes(size)


@functools.cache
def keep_freed_memory() -> None:
    """Have glibc's allocator keep large blocks for the next record, for the rest of this process.

    It maps a block of more than 128 KiB and unmaps it when it is freed, and gives the end of a heap back. A record of
    1 MiB goes through several such blocks (frame, base64, line), and every page of each was mapped, cleared,
    unmapped again: 140,000 page faults in an export where 19,000 remain. With another allocator nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
    mallopt(_TRIM_THRESHOLD, _KEPT)
