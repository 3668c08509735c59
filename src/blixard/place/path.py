"""A regular file as an output: whole or not at all, mode 0600 from its first byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from blixard import files
from blixard.closing import Closing
from blixard.place.source import FileInput
from blixard.ports import Input


class FileOutput(Closing):
    """The file at `path`, which keeps its old content until `commit`.

    Raises:
        StorageError: its directory is not writable or full.
    """

    def __init__(self, path: Path, *, journal: files.Journal | None, mode: int = 0o600) -> None:
        self._file = files.AtomicFile(path, journal=journal, mode=mode)
        self.name = os.fspath(path)
        self.folder = path.absolute().parent

    @property
    def file(self) -> BinaryIO:
        """Write here."""
        return self._file.file

    def commit(self, verify: Callable[[Input], None] | None = None) -> None:
        """See `Output.commit`."""
        if verify is None:
            self._file.commit()
            return

        def read_back(fd: int) -> None:
            with FileInput(os.dup(fd), "the finished file") as given:
                verify(given)

        self._file.commit(read_back)

    def close(self) -> None:
        """See `Output.close`."""
        self._file.close()
