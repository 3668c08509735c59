"""What a writer must remember of each record and image until the end of the document: packed rows, spilled to disk.

2^28 records are 1 GiB of lengths: past `spill_bytes` they go to an unlinked temporary file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO

import msgspec

from blixard.closing import Closing
from blixard.format.layout import ImageRow

_BATCH = 1 << 14


class Tables(Closing):
    """Stored lengths of all records, and the index rows of all images, in document order.

    Args:
        spill_bytes: what may be held in memory.
        folder: where the rest goes; None is the system's temporary folder.
    """

    def __init__(self, spill_bytes: int, folder: str | None = None) -> None:
        # u32: a stored record stays far below 4 GiB
        self._batch = array("I")
        self._lengths: IO[bytes] = SpooledTemporaryFile(spill_bytes // 2, dir=folder)  # noqa: SIM115 - closed by `close`
        self._rows: IO[bytes] = SpooledTemporaryFile(spill_bytes // 2, dir=folder)  # noqa: SIM115 - closed by `close`
        self._counts = array("Q")

    def add_length(self, stored: int) -> None:
        """Note the stored length of the next record."""
        self._batch.append(stored)
        if len(self._batch) >= _BATCH:
            self._flush()

    def add_image(self, row: ImageRow) -> None:
        """Note the row of an image whose lengths have all been added."""
        self._counts.append(row.records)
        self._rows.write(msgspec.json.encode(row) + b"\n")

    def rows(self) -> Iterator[bytes]:
        """JSON of each image's row."""
        self._rows.seek(0)
        for line in self._rows:
            yield line[:-1]

    def lengths(self) -> Iterator[Iterator[bytes]]:
        """For each image, pieces of text: its records' lengths with commas between."""
        self._flush()
        self._lengths.seek(0)
        for count in self._counts:
            yield self._image_lengths(count)

    def close(self) -> None:
        """Give the temporary files back."""
        self._lengths.close()
        self._rows.close()

    def _image_lengths(self, count: int) -> Iterator[bytes]:
        separator = b""
        while count:
            batch = array("I", self._lengths.read(min(count, _BATCH) * self._batch.itemsize))
            count -= len(batch)
            yield separator + ",".join(map(str, batch)).encode()
            separator = b","

    def _flush(self) -> None:
        self._lengths.write(self._batch.tobytes())
        self._batch = array("I")
