"""Keep freed memory for the next record, instead of giving it back to the kernel and asking for it again.

glibc maps a block of more than 128 KiB and unmaps it when it is freed, and gives the end of a heap back. A record of
1 MiB goes through several such blocks (frame, base64, line), and every page of each was mapped, cleared and unmapped
again: a quarter of the CPU time of a plain export, and 140,000 page faults where 19,000 remain.
"""

from __future__ import annotations

import functools

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)."""
_MAPPED_FROM = 32 << 20
"""The largest that glibc takes. More than any record."""
_KEPT = 64 << 20
"""At most so many free bytes stay at the end of a heap."""


@functools.cache
def keep_freed_memory() -> None:
    """Tell glibc's allocator for the rest of this process; where there is another one, nothing happens."""
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
    mallopt(_TRIM_THRESHOLD, _KEPT)
