"""Which records an import of a part needs from images that it does not take.

A record is stored once in a whole cluster, so a VM's disk may refer into a disk that stays out. Known beforehand, those
records are all that is kept of it; without it (a pipe) everything has to be, until the end.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from blixard.closing import Closing
from blixard.disks.records.dedup import DigestTable
from blixard.format.events import RecordRead
from blixard.limits import Limits
from blixard.ops.importing.source import ImportSource


class ReferredRecords(Closing):
    """Asked for each record of an image that is not taken; everything is needed until `look` was called.

    Args:
        limits: the bounds in force.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._digests: DigestTable | None = None

    def __call__(self, digest: bytes) -> bool:
        """True when a reference may need the record."""
        return self._digests is None or self._digests.get(digest) is not None

    def look(self, source: ImportSource, images: Collection[int], folder: Path) -> None:
        """Read the document once more, only to see what the images that are taken refer to.

        Args:
            source: read front to back, and no record is decoded; when that cannot be, everything stays needed.
            images: that are taken.
            folder: where what does not fit into memory goes.

        Raises:
            ExportFileError, StorageError: as reading it for the import would.
        """
        again = source.again() if images else iter(())
        if again is None:
            return
        found = self._digests = DigestTable(spill_bytes=self._limits.spill_bytes, folder=folder)
        for event in again:
            if isinstance(event, RecordRead) and event.image in images and not event.record.carries:
                found.add(event.record.digest)

    def close(self) -> None:
        """Release memory and file."""
        if self._digests is not None:
            self._digests.close()
