"""A regular file as an output: whole or not at all, mode 0600 from its first byte."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Self

from blixard import files
from blixard.files.atomic import Verify


class FileOutput:
    """The file at `path`, which keeps its old content until `commit`.

    Raises:
        StorageError: its directory is not writable or full.
    """

    atomic = True

    def __init__(self, path: Path, *, journal: files.Journal | None) -> None:
        self._file = files.AtomicFile(path, journal=journal)
        self.name = os.fspath(path)

    @property
    def file(self) -> BinaryIO:
        """Write here."""
        return self._file.file

    def commit(self, verify: Verify | None = None) -> None:
        """See `Output.commit`."""
        self._file.commit(verify)

    def abort(self) -> None:
        """See `Output.abort`."""
        self._file.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.abort()
