"""One image being staged: its file, its bitmap, and the moment when it becomes a whole disk.

A finished image stays readable, because later images refer to it, but not open: a cluster has more disks than a process
has descriptors. Source of the order of syncs: DESIGN.md section 6 (data before bitmap).
"""

from __future__ import annotations

import threading
from pathlib import Path

from msgspec import Struct

from blixard import files
from blixard.closing import Closing
from blixard.disks.copying import copy_disk
from blixard.disks.detect import open_reader, open_writer
from blixard.disks.staging.bitmap import BitmapTitle, RecordBitmap
from blixard.errors import InternalError, LimitExceeded, MalformedExport
from blixard.limits import Limits
from blixard.model.structs import DiskFormat, ImageHead, Record
from blixard.ports import DiskReader, DiskWriter


class StagedPlace(Struct, frozen=True, kw_only=True):
    """Where an image is staged and under whose name."""

    folder: Path
    key: str
    image: int

    def disk(self, disk_format: DiskFormat) -> Path:
        """The staged file of that format."""
        return self.folder / f"{self.image:07d}.{disk_format.value}"

    @property
    def bitmap(self) -> Path:
        """The file of its verified records."""
        return self.folder / f"{self.image:07d}.records"

    def clear(self) -> None:
        """Remove whatever was staged for this image; the bitmap first, so that it never speaks for another file."""
        for path in (self.bitmap, *(self.disk(each) for each in DiskFormat)):
            files.unlink(path, missing_ok=True)


class StagedImage(Closing):
    """A disk on its way in. `write` and `read` from any thread; the rest from the one that its method names.

    Whatever touches its files may raise StorageError: no space, or an I/O error.
    """

    def __init__(self, place: StagedPlace, head: ImageHead | None, limits: Limits, *, resume: bool) -> None:
        self.place = place
        self.head = head
        self.damaged = False
        self.data_bytes = 0
        self.end = 0
        """Guest offset after the last record so far."""
        self.waiting = 0
        """Records that workers have not finished; guarded by the sink's lock."""
        self.final: ImageHead | None = None
        """What the document says, once its last record was given; guarded by the sink's lock."""
        self.digest: str | None = None
        """Of the image, as the caller gave it with the last record."""
        self._limits = limits
        self.format = head.format if head is not None else DiskFormat.RAW
        self._lock = threading.Lock()
        self._fresh: list[int] = []
        self._anchored = False
        self._writer: DiskWriter | None
        self._reader: DiskReader | None = None
        self._check_size(head.size_bytes if head is not None else 0)
        self.resumed = resume and self._take_up()
        if not self.resumed:
            self._start_new()

    def take(self, record: Record) -> None:
        """Check where the next record lies, and empty what is between it and the one before. Caller's thread.

        Raises:
            MalformedExport: out of order, overlapping, or past the end of the disk.
            LimitExceeded: past `limits.disk_bytes`.
        """
        if record.offset is None:
            return
        if record.offset < self.end:
            raise MalformedExport(f"a record of {self.title} at `{record.offset}` overlaps the one before it")
        stop = record.offset + record.length
        if self.head is not None and stop > self.head.size_bytes:
            raise MalformedExport(
                f"a record of {self.title} ends at `{stop}`, past the disk's `{self.head.size_bytes}`"
            )
        self._check_size(stop)
        self._empty(self.end, record.offset)
        self.end = stop
        self.data_bytes += record.length

    def receive(self, head: ImageHead) -> None:
        """The document told all of the image: hold it against what was staged. Caller's thread.

        Raises:
            MalformedExport: the head is not the one before, or a record lies past its size.
            LimitExceeded: the size is past `limits.disk_bytes`.
        """
        if self.head is not None and self.head != head:
            raise MalformedExport(f"{self.title} is described twice, and not the same way")
        if self.end > head.size_bytes:
            raise MalformedExport(f"a record of {self.title} ends at `{self.end}`, past the disk's `{head.size_bytes}`")
        self._check_size(head.size_bytes)
        self._empty(self.end, head.size_bytes)

    def holds(self, position: int) -> bool:
        """True when an earlier run wrote this record and its data was synced."""
        return self.resumed and position in self._bitmap

    def confirm(self, record: Record) -> None:
        """The bytes of an earlier run were hashed and are right: they are part of the disk. Any thread.

        Its bit is set and durable, or nobody would have looked.
        """
        self._live().mark(record.offset or 0, record.length)

    def write(self, position: int, offset: int, data: bytes) -> None:
        """Put a record's bytes, which were checked. Any thread."""
        self._live().write(offset, data)
        with self._lock:
            self._fresh.append(position)

    def read(self, offset: int, length: int) -> bytes:
        """Guest bytes of a record that was written. Any thread, also after the image was finished or put away."""
        with self._lock:
            if self._writer is not None:
                return self._writer.read(offset, length)
            if self._reader is None:
                self._reader = open_reader(self.path, self.format)
            data = bytearray(length)
            self._reader.read_into(offset, memoryview(data))
            return bytes(data)

    def reread(self, offset: int, length: int) -> bytes:
        """What lies at a record's place, for a worker that has this record in hand (so the image is not completed)."""
        return self._live().read(offset, length)

    @property
    def path(self) -> Path:
        """The staged file."""
        return self.place.disk(self.format)

    @property
    def title(self) -> str:
        """What errors call it."""
        return f"disk `{self.head.vm}/{self.head.disk}`" if self.head is not None else f"image `{self.place.image}`"

    def checkpoint(self) -> None:
        """Make what was written durable, then the bits that say so. The settling thread."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
            writer = self._writer
        if writer is None or not fresh:
            return
        writer.sync()
        self._bitmap.add(fresh)
        self._bitmap.sync()
        if not self._anchored:
            files.fsync_dir(self.place.folder)
            self._anchored = True

    def complete(self, *, wanted: bool) -> None:
        """Make it a valid, durable image, in the format that the document names. The settling thread."""
        head, writer = self.final, self._live()
        if head is None:
            raise InternalError(f"{self.title} was completed before its end")
        known, self.head = self.head, head
        if known is None and head.format is not DiskFormat.RAW and wanted and not self.damaged:
            self._convert(head)
            return
        if known is None:
            writer.resize(head.size_bytes)
        writer.finish()
        with self._lock:
            fresh, self._fresh = self._fresh, []
        self._bitmap.add(
            fresh
        )  # not synced: a cluster of small disks is bound by its syncs, and lost bits only cost time
        with self._lock:
            self._close()

    def put_away(self) -> None:
        """Close what a `read` of a completed image opened; a later one opens it again. Any thread."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def close(self) -> None:
        """Release descriptors."""
        with self._lock:
            self._close()
        self._bitmap.close()

    def _live(self) -> DiskWriter:
        if self._writer is None:
            raise InternalError(f"{self.title} was written to after it was completed")
        return self._writer

    def _close(self) -> None:
        for part in (self._writer, self._reader):
            if part is not None:
                part.close()
        self._writer = self._reader = None
        self._bitmap.close()

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limits.disk_bytes:
            raise LimitExceeded(
                f"{self.title} has `{size_bytes}` bytes, over the limit `disk_bytes` (`{self._limits.disk_bytes}`)"
            )

    def _bitmap_title(self) -> BitmapTitle:
        return BitmapTitle(key=self.place.key, image=self.place.image, format=self.format, size_bytes=self._size())

    def _take_up(self) -> bool:
        bitmap = RecordBitmap.open(self.place.bitmap, self._bitmap_title(), positions=self._limits.records)
        if bitmap is None:
            return False
        if not self.path.is_file():
            bitmap.close()
            return False
        try:
            self._writer = open_writer(self.path, self.format, self._size(), resume=True)
        except BaseException:
            bitmap.close()
            raise
        self._bitmap = bitmap
        return True

    def _start_new(self) -> None:
        self.place.clear()
        self._writer = open_writer(self.path, self.format, self._size())
        try:
            self._bitmap = RecordBitmap.create(self.place.bitmap, self._bitmap_title())
        except BaseException:
            self._writer.close()
            raise

    def _size(self) -> int | None:
        return self.head.size_bytes if self.head is not None else None

    def _empty(self, start: int, stop: int) -> None:
        """Make zeros where the document has a hole: a killed run, even of another one, may have left bytes."""
        if self.resumed and start < stop:
            self._live().discard(start, stop - start)

    def _convert(self, head: ImageHead) -> None:
        """Replace the raw file by an image in the format of `head`. A kill from here on has the image staged anew."""
        raw_path = self.path
        files.unlink(self.place.bitmap)
        with open_reader(raw_path, DiskFormat.RAW, limits=self._limits) as source:
            copy_disk(source, self.place.disk(head.format), head.format, head.size_bytes)
        with self._lock:
            self._close()
            self.format = head.format
        files.unlink(raw_path)
