"""Where the bytes of each record of a document can be read again: what references are resolved by.

A row is 49 bytes and the table spills, so a document of any size can refer to any of its records (FORMAT.md section 3).
"""

from __future__ import annotations

import struct
import threading
from pathlib import Path

from msgspec import Struct

from blixard.closing import Closing
from blixard.disks.records.dedup import DigestTable
from blixard.limits import DEFAULT

PACK = -1
"""`Place.image` of a pack: its bytes belong to no disk."""
_DAMAGED = -2
NOWHERE = -3
"""`Place.image` of a record that was checked and not kept."""
_ROW = struct.Struct("<iQI")


class Place(Struct, frozen=True):
    """Where a record's bytes are: `image` and guest offset, or for `PACK` an offset among the packs; all in bytes."""

    image: int
    offset: int
    length: int

    @property
    def damaged(self) -> bool:
        """True when the record was there and its bytes were not what it says."""
        return self.image == _DAMAGED


class Locations(Closing):
    """Digest to place, of every data and pack record so far. Any number of threads may use it at once."""

    def __init__(self, *, spill_bytes: int = DEFAULT.spill_bytes, folder: Path | None = None) -> None:
        self._table = DigestTable(_ROW.size, spill_bytes=spill_bytes, folder=folder)
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Place | None:
        """The place of the first record with this digest, or None when there was none."""
        with self._lock:
            row = self._table.get(digest)
        return None if row is None else Place(*_ROW.unpack(row))

    def announce(self, digest: bytes, place: Place) -> None:
        """A record is about to be stored at `place`; the first one of a digest counts, unless it was damaged."""
        row = _ROW.pack(place.image, place.offset, place.length)
        with self._lock:
            earlier = self._table.set_default(digest, row)
            if earlier is not None and Place(*_ROW.unpack(earlier)).damaged:
                self._table.put(digest, row)

    def damage(self, digest: bytes, place: Place) -> None:
        """The record that was announced at `place` is damaged; a digest that stands for another place stays."""
        with self._lock:
            if self._table.get(digest) == _ROW.pack(place.image, place.offset, place.length):
                self._table.put(digest, _ROW.pack(_DAMAGED, 0, 0))

    def close(self) -> None:
        """Release memory and file."""
        self._table.close()
