"""Where tests put what they make by the thousand: in memory, where there is enough of it."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import psutil

_SHARED = Path("/dev/shm")  # noqa: S108 - whoever makes something in there gives it a directory of its own
_ENOUGH = 2 << 30
"""Three times what a whole run has there at once."""


@cache
def in_memory() -> Path | None:
    """The shared memory's folder, when it and the machine have room; None otherwise, as in a container with 64 MiB."""
    if not os.access(_SHARED, os.W_OK) or shutil.disk_usage(_SHARED).free < _ENOUGH:
        return None
    return _SHARED if psutil.virtual_memory().available > 2 * _ENOUGH else None
