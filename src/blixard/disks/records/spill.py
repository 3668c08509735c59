"""Bytes that do not fit into memory, in a temporary file that has no name: no crash leaves it behind.

It is read and written, not mapped: a full file system under a mapping is a SIGBUS, under a write an error we can tell.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from blixard.closing import Closing
from blixard.errors import StorageError


class Spill(Closing):
    """`size` bytes, zero at first, in `folder` (None is the system's temporary folder); it grows when written past.

    Any number of threads may use it at once, and every call may raise StorageError: no space, or an I/O error.
    """

    def __init__(self, size: int, folder: Path | None) -> None:
        self._where = str(folder or tempfile.gettempdir())
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by close()
            os.truncate(self._file.fileno(), size)
        except OSError as problem:
            raise self._error("make", problem) from problem

    def read(self, at: int, length: int) -> bytes:
        """`length` bytes from `at`."""
        try:
            row = os.pread(self._file.fileno(), length, at)
        except OSError as problem:
            raise self._error("read", problem) from problem
        if len(row) != length:
            raise StorageError(f"a temporary file in `{self._where}` lost its end")
        return row

    def write(self, at: int, row: bytes) -> None:
        """Put bytes at `at`."""
        try:
            written = os.pwrite(self._file.fileno(), row, at)
        except OSError as problem:
            raise self._error("write", problem) from problem
        if written != len(row):
            raise StorageError(f"cannot write a temporary file in `{self._where}`: no space left")

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def _error(self, operation: str, problem: OSError) -> StorageError:
        return StorageError(f"cannot {operation} a temporary file in `{self._where}`: {problem.strerror or problem}")
