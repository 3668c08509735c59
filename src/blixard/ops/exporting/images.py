"""The images of an export: each disk read, cut and written, and judged by how consistent its content is.

Whose error it is decides what it costs: what a disk's reader raised costs that image, everything else (the target is
full, a bug) costs the export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from msgspec import Struct

from blixard.disks.detect import open_content
from blixard.disks.records.dedup import DedupTable
from blixard.disks.records.pipeline import RecordPipeline
from blixard.errors import BlixardError, InternalError, RefusedError
from blixard.format.records import encode_record
from blixard.format.writer import ExportWriter
from blixard.home.in_use import users_of
from blixard.limits import DEFAULT
from blixard.model.structs import Consistency, DiskFormat, ImageTail
from blixard.ops.exporting.selection import ImageSource
from blixard.ports import DiskReader, Extent, Progress

_BEST_FIRST = tuple(Consistency)


class ImageReport(Struct, frozen=True, kw_only=True):
    """What became of one image. `failed` is None when its content is in the document."""

    vm: str
    disk: str
    format: DiskFormat
    size_bytes: int
    data_bytes: int
    consistency: Consistency | None = None
    failed: str | None = None
    snapshots: int = 0
    """Snapshots inside a qcow2 file, which are not in the document."""


class Encoding(Struct, frozen=True, kw_only=True):
    """How records are written, and by how many threads."""

    compress: bool
    level: int
    threads: int
    folder: Path | None = None
    """Of temporary files; None is the system's."""
    spill_bytes: int = DEFAULT.spill_bytes


def write_images(
    writer: ExportWriter, images: tuple[ImageSource, ...], encoding: Encoding, progress: Progress
) -> Iterator[ImageReport]:
    """Write every image and report it as soon as it is complete.

    Raises:
        StorageError: the target cannot be written.
    """
    busy = users_of(image.path for image in images if image.path is not None)
    encode = partial(encode_record, compress=encoding.compress, level=encoding.level)
    table = DedupTable(spill_bytes=encoding.spill_bytes, folder=encoding.folder)
    with table as dedup, RecordPipeline(encoding.threads, dedup) as pipeline:
        for image in images:
            writer.begin_image(image.head)
            progress.begin(f"{image.head.vm}/{image.head.disk}", image.head.size_bytes)
            disk = _Disk(image)
            if disk.failed is None:
                disk.write(writer, partial(pipeline.records, encode=encode, advance=progress.advance))
            tail = writer.end_image(consistency=disk.judge(in_use=image.path in busy), failed=disk.failed)
            progress.end()
            yield disk.report(tail)


def check_consistency(report: ImageReport, required: Consistency | None) -> None:
    """Refuse an image that is less consistent than was asked for.

    Raises:
        RefusedError: naming the disk and what it is.
    """
    if required is None or report.consistency is None:
        return
    if _BEST_FIRST.index(report.consistency) > _BEST_FIRST.index(required):
        raise RefusedError(
            f"disk `{report.vm}/{report.disk}` is `{report.consistency}`, `{required}` was required",
            hint="stop what writes to it, or require less with `--require-consistency`",
        )


class _Disk:
    """One image on its way into the document."""

    def __init__(self, image: ImageSource) -> None:
        self._image = image
        self._changed = False
        self._snapshots = 0
        self.failed = image.failed

    def write(self, writer: ExportWriter, records: Callable[[DiskReader], Iterator]) -> None:  # type: ignore[type-arg]
        """Write the records; what the disk itself raises ends it as failed."""
        path, content = self._image.path, self._image.content
        if path is None or content is None:
            raise InternalError(f"image of `{self._image.head.vm}` has no content and was not told as failed")
        try:
            reader = _Watched(open_content(path, content))
        except BlixardError as error:
            self.failed = error.message
            return
        try:
            if reader.size_bytes != self._image.head.size_bytes:
                self.failed = f"its size changed from {self._image.head.size_bytes} to {reader.size_bytes} bytes"
                return
            for chunk in records(reader):
                writer.write_record(chunk.record, chunk.frame, chunk.line)
            self._changed = reader.changed()
            self._snapshots = len(reader.snapshots)
        except BlixardError as error:
            if error is not reader.error:
                raise
            self.failed = error.message
        finally:
            reader.close()

    def judge(self, *, in_use: bool) -> Consistency | None:
        """How consistent what was read is: nobody wrote meanwhile, or somebody did."""
        if self.failed is not None:
            return None
        if self._changed:
            return Consistency.UNKNOWN
        # open elsewhere and not written to meanwhile: all of it is of one point in time, of a guest that may be running
        return Consistency.CRASH if in_use else Consistency.STOPPED

    def report(self, tail: ImageTail) -> ImageReport:
        """What became of it."""
        head = self._image.head
        return ImageReport(
            vm=head.vm,
            disk=head.disk,
            format=head.format,
            size_bytes=head.size_bytes,
            data_bytes=tail.data_bytes,
            consistency=tail.consistency,
            failed=tail.failed,
            snapshots=self._snapshots,
        )


class _Watched:
    """A reader that remembers what it raised itself."""

    def __init__(self, reader: DiskReader) -> None:
        self._reader = reader
        self.error: BlixardError | None = None
        self.size_bytes = reader.size_bytes
        self.format = reader.format
        self.files = reader.files
        self.snapshots = reader.snapshots

    def extents(self) -> Iterator[Extent]:
        """As the port says."""
        try:
            yield from self._reader.extents()
        except BlixardError as error:
            self.error = error
            raise

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """As the port says."""
        try:
            self._reader.read_into(offset, buffer)
        except BlixardError as error:
            self.error = error
            raise

    def changed(self) -> bool:
        """As the port says."""
        return self._reader.changed()

    def close(self) -> None:
        """As the port says."""
        self._reader.close()
