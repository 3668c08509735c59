"""The running check of free space while disks are staged.

A document whose sizes come last cannot be checked beforehand, and references make disks out of a few bytes; so what is
written is watched, and the host keeps its reserve.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from blixard.errors import StorageError
from blixard.limits import MIB, Limits

_LONGEST_STEP = 64 * MIB


class SpaceCheck:
    """Asks the file system again after every step of written bytes; a step is at most a quarter of the reserve.

    Args:
        free: bytes that are free where the disks are staged.
        limits: `space_reserve_bytes` is what stays free.
        where: the folder, for the message.
    """

    def __init__(self, free: Callable[[], int], limits: Limits, where: str) -> None:
        self._free = free
        self._reserve = limits.space_reserve_bytes
        self._step = min(_LONGEST_STEP, self._reserve // 4)
        self._where = where
        self._lock = threading.Lock()
        self._since = self._step

    def spend(self, amount: int) -> None:
        """Count `amount` bytes that are about to be written, and look at the free space when a step is full.

        Raises:
            StorageError: the reserve would be touched.
        """
        with self._lock:
            self._since += amount
            if self._since < self._step:
                return
            self._since = 0
        free = self._free()
        if free - amount < self._reserve:
            raise StorageError(
                f"no space left in `{self._where}`: `{free}` bytes are free, `{self._reserve}` are kept for the host",
                hint="`blixard cluster gc` shows what staged imports and undo entries hold",
            )
