"""Where checked records go when disks are staged: the images' files, and a nameless file for packs (`RecordSink`)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from blake3 import blake3

from blixard.closing import Closing
from blixard.disks.records.locations import NOWHERE, PACK, Place
from blixard.disks.records.spill import Spill
from blixard.disks.records.walk import Given, at_record
from blixard.disks.staging.space import SpaceCheck
from blixard.disks.staging.staged import StagedImage
from blixard.errors import ExportFileError, InternalError
from blixard.model.structs import ImageHead, Record

_OPEN_IMAGES = 64
"""Finished images that stay open after a reference read from them."""


class DiskSink(Closing):
    """Writes records into staged images.

    Args:
        images: those that were begun, by number; the staging adds to it.
        space: asked before bytes are written.
        folder: where packs are kept.
        skip_damaged: a damaged record marks its image; else it is raised.
        written: told image and bytes, after a write.
        ready: told an image whose last record is written.
    """

    def __init__(
        self,
        images: Mapping[int, StagedImage],
        *,
        space: SpaceCheck,
        folder: Path,
        skip_damaged: bool,
        written: Callable[[int, int], None],
        ready: Callable[[int], None],
    ) -> None:
        self._images = images
        self._space = space
        self._folder = folder
        self._skip_damaged = skip_damaged
        self._tell_written = written
        self._tell_ready = ready
        self._lock = threading.Lock()
        self._packs: Spill | None = None
        self._pack_end = 0
        self._lent: OrderedDict[int, None] = OrderedDict()
        self.decoded = 0
        self.reused = 0

    def place_aside(self, record: Record, *, kept: bool) -> Place:
        """Where a record goes whose bytes are part of no staged disk. Caller's thread.

        Args:
            record: a pack, or of an image that nobody wants.
            kept: a reference may need it; else it is only checked.
        """
        if not kept:
            return Place(NOWHERE, 0, record.length)
        if self._packs is None:
            self._packs = Spill(0, self._folder)
        offset = self._pack_end
        self._pack_end += record.length
        return Place(PACK, offset, record.length)

    def expect(self, image: int) -> None:
        """A record of `image` is about to be given to workers."""
        with self._lock:
            self._images[image].waiting += 1

    def received(self, image: int, head: ImageHead) -> None:
        """The last record of `image` was given."""
        staged = self._images[image]
        with self._lock:
            staged.final = head
            ready = staged.waiting == 0
        if ready:
            self._tell_ready(image)

    def has(self, given: Given, /) -> bool:
        """True when an earlier run left this record's bytes in the disk, which their digest proves."""
        staged, record = self._images.get(given.image), given.record
        if staged is None or record.offset is None or not staged.holds(given.position):
            return False
        if blake3(staged.reread(record.offset, record.length)).digest() != record.digest:
            return False
        staged.confirm(record)
        with self._lock:
            self.reused += 1
        return True

    def keep(self, given: Given, place: Place, data: bytes, /) -> None:
        """Write a data or pack record."""
        with self._lock:
            self.decoded += 1
        if place.image == NOWHERE:
            return
        self._space.spend(len(data))
        if place.image == PACK:
            self._pack_file().write(place.offset, data)
            return
        self._images[given.image].write(given.position, place.offset, data)
        self._tell_written(given.image, len(data))

    def copy(self, given: Given, place: Place, /) -> None:
        """Write what a reference names, unless an earlier run did."""
        staged, record = self._images.get(given.image), given.record
        if staged is None:
            return
        offset = record.offset or 0
        data = self._read(place, record.skip, record.length)
        if staged.holds(given.position) and staged.reread(offset, record.length) == data:
            staged.confirm(record)
            return
        self._space.spend(len(data))
        staged.write(given.position, offset, data)
        self._tell_written(given.image, len(data))

    def damaged(self, given: Given, problem: ExportFileError, /) -> None:
        """Raise it, which ends the import; where damage is skipped, mark the image instead, if it is wanted."""
        staged = self._images.get(given.image)
        if not self._skip_damaged:
            title = f"image `{given.image}`" if staged is None else staged.title
            raise at_record(title, given, problem) from problem
        if staged is not None:
            staged.damaged = True

    def done(self, image: int, /) -> None:
        """A worker has finished a record of `image`; after the last one the image is ready."""
        staged = self._images.get(image)
        if staged is None:
            return
        with self._lock:
            staged.waiting -= 1
            ready = staged.final is not None and staged.waiting == 0
        if ready:
            self._tell_ready(image)

    def close(self) -> None:
        """Give the packs' space back."""
        if self._packs is not None:
            self._packs.close()

    def _read(self, place: Place, skip: int, length: int) -> bytes:
        if place.image == PACK:
            return self._pack_file().read(place.offset + skip, length)
        data = self._images[place.image].read(place.offset + skip, length)
        self._lend(place.image)
        return data

    def _pack_file(self) -> Spill:
        if self._packs is None:
            raise InternalError("a pack has bytes before it has a place")
        return self._packs

    def _lend(self, image: int) -> None:
        """Remember that an image was read, and put away the one that was not read for longest."""
        with self._lock:
            self._lent[image] = None
            self._lent.move_to_end(image)
            oldest = self._lent.popitem(last=False)[0] if len(self._lent) > _OPEN_IMAGES else None
        if oldest is not None:
            self._images[oldest].put_away()
