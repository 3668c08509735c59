"""Telemetry of a document on its way in: kept in a file without a name until the import knows where it goes.

It comes before the images and may be a gigabyte, and nothing of a document may reach a cluster before all of it is
proven.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from blixard.closing import Closing
from blixard.errors import StorageError
from blixard.format.events import TelemetryRead
from blixard.limits import MIB
from blixard.model.structs import JsonObject


class TelemetrySpool(Closing):
    """Elements in the order of the document.

    Args:
        folder: where the file without a name is made; None is the system's temporary folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self.count = 0

    def add(self, event: TelemetryRead) -> None:
        """Keep one element.

        Raises:
            StorageError: no space.
        """
        line = msgspec.json.encode([event.key, event.element]) + b"\n"
        folder = None if self._folder is None else str(self._folder)
        try:
            if self._file is None:
                self._file = tempfile.SpooledTemporaryFile(8 * MIB, dir=folder)  # noqa: SIM115 - closed by `close`
            self._file.write(line)
        except OSError as error:
            raise StorageError(
                f"cannot keep telemetry in `{self._folder or tempfile.gettempdir()}`: {error.strerror}"
            ) from error
        self.count += 1

    def elements(self) -> Iterator[tuple[str, JsonObject]]:
        """All elements, with their keys."""
        if self._file is None:
            return
        self._file.seek(0)
        for line in self._file:
            key, element = msgspec.json.decode(line)
            yield key, element

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
