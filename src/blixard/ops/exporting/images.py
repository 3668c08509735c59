"""The images of an export: each disk read, cut and written, and judged by how consistent its content is.

Whose error it is decides what it costs: what a disk's reader raised costs that image, everything else (the target is
full, a bug) costs the export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from blixard.closing import Closing
from blixard.disks.records.dedup import DigestTable
from blixard.disks.records.pipeline import Chunk, RecordPipeline
from blixard.errors import BlixardError, RefusedError
from blixard.format.records import encode_record
from blixard.format.writer import ExportWriter
from blixard.limits import DEFAULT, GZIP_LEVEL, ZSTD_LEVEL
from blixard.model.structs import Consistency, DiskFormat, ImageTail
from blixard.ops.exporting.selection import ImageSource
from blixard.ports import DiskReader, DiskSnapshot, Extent, FoundDisk, Hypervisor, Progress

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
    gzip_level: int = GZIP_LEVEL
    zstd_level: int = ZSTD_LEVEL
    threads: int
    folder: Path | None = None
    """Of temporary files; None is the system's."""
    spill_bytes: int = DEFAULT.spill_bytes


def write_images(
    writer: ExportWriter,
    images: tuple[ImageSource, ...],
    hypervisor: Hypervisor,
    encoding: Encoding,
    progress: Progress,
) -> Iterator[ImageReport]:
    """Write every image and report it as soon as it is complete. All disks of a VM are of one instant.

    Raises:
        StorageError: the target cannot be written.
    """
    encode = partial(encode_record, compress=encoding.compress, gzip_level=encoding.gzip_level)
    with (
        DigestTable(spill_bytes=encoding.spill_bytes, folder=encoding.folder) as carried,
        RecordPipeline(encoding.threads, carried, encoding.zstd_level) as pipeline,
    ):
        read = partial(pipeline.records, encode=encode, advance=progress.advance)
        for _, of_vm in groupby(images, key=lambda image: image.head.vm):
            together = list(of_vm)
            found = [image.disk for image in together if image.disk is not None and image.failed is None]
            with hypervisor.snapshot(found) as snapshot:
                for image in together:
                    writer.begin_image(image.head)
                    progress.begin(f"{image.head.vm}/{image.head.disk}", image.head.size_bytes)
                    disk = _Disk(image)
                    if image.disk is not None and image.failed is None:
                        disk.write(writer, snapshot, image.disk, read)
                    tail = writer.end_image(consistency=disk.consistency, failed=disk.failed)
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
        self._snapshots = 0
        self.consistency: Consistency | None = None
        self.failed = image.failed

    def write(
        self,
        writer: ExportWriter,
        snapshot: DiskSnapshot,
        disk: FoundDisk,
        records: Callable[[DiskReader], Iterator[Chunk]],
    ) -> None:
        """Write the records; what the disk itself raises ends it as failed."""
        try:
            reader = _Watched(snapshot.open(disk))
        except BlixardError as error:
            self.failed = error.message
            return
        try:
            if reader.size_bytes != self._image.head.size_bytes:
                self.failed = f"its size changed from {self._image.head.size_bytes} to {reader.size_bytes} bytes"
                return
            for chunk in records(reader):
                writer.write_record(chunk.record, chunk.frame, chunk.line)
            self.consistency = snapshot.consistency(disk, reader)
            self._snapshots = len(reader.snapshots)
        except BlixardError as error:
            if error is not reader.error:
                raise
            self.failed = error.message
        finally:
            reader.close()

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


class _Watched(Closing):
    """A reader that remembers what it raised itself."""

    def __init__(self, reader: DiskReader) -> None:
        self._reader = reader
        self.error: BlixardError | None = None
        self.size_bytes = reader.size_bytes
        self.format = reader.format
        self.files = reader.files
        self.snapshots = reader.snapshots

    def extents(self) -> Iterator[Extent]:
        """See `DiskReader.extents`."""
        try:
            yield from self._reader.extents()
        except BlixardError as error:
            self.error = error
            raise

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `DiskReader.read_into`."""
        try:
            self._reader.read_into(offset, buffer)
        except BlixardError as error:
            self.error = error
            raise

    def changed(self) -> bool:
        """See `DiskReader.changed`."""
        return self._reader.changed()

    def close(self) -> None:
        """See `DiskReader.close`."""
        self._reader.close()
