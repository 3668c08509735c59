"""Documents as the staging sees them: images and their records with frames, made by the export's own pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from blake3 import blake3
from msgspec import Struct

from blixard.disks.detect import open_reader
from blixard.disks.records.dedup import DigestTable
from blixard.disks.records.frames import make_frame
from blixard.disks.records.pipeline import RecordPipeline
from blixard.disks.staging.staging import Staged, Staging
from blixard.model.structs import DiskFormat, ImageHead, Record
from support.disks import MemoryDisk


class Image(Struct, frozen=True):
    """One image of a document: its head, and its records with their frames (None for a reference)."""

    head: ImageHead
    records: tuple[tuple[Record, bytes | None], ...]


def head_of(
    size_bytes: int,
    disk: str = "root",
    format: DiskFormat = DiskFormat.RAW,  # noqa: A002 - the model's word for it
) -> ImageHead:
    return ImageHead(vm="web-1", disk=disk, format=format, size_bytes=size_bytes)


def document(disks: Sequence[bytes], formats: Sequence[DiskFormat] = (), *, threads: int = 2) -> list[Image]:
    """Export disks; `formats` default to raw."""
    images: list[Image] = []
    with DigestTable() as dedup, RecordPipeline(threads, dedup) as pipeline:
        for number, data in enumerate(disks):
            chunks = pipeline.records(MemoryDisk(data), lambda _record, _frame: (), lambda _amount: None)
            disk_format = formats[number] if formats else DiskFormat.RAW
            head = head_of(len(data), f"disk-{number}", disk_format)
            images.append(Image(head, tuple((chunk.record, chunk.frame) for chunk in chunks)))
    return images


def data_record(offset: int | None, data: bytes) -> tuple[Record, bytes]:
    """A data record, or with None a pack."""
    return Record(offset, len(data), blake3(data).digest(), True), make_frame(data)


def reference(offset: int, length: int, whole: bytes, skip: int = 0) -> tuple[Record, None]:
    """A reference to part of the record that holds `whole`."""
    return Record(offset, length, blake3(whole).digest(), False, skip), None


def feed(staging: Staging, images: Iterable[Image], *, heads_first: bool = True) -> None:
    """Everything but `finish`. With `heads_first` off, format and size are told after the records."""
    for number, image in enumerate(images):
        staging.begin(number, image.head if heads_first else None)
        put_all(staging, number, image.records)
        staging.end(number, image.head)


def put_all(staging: Staging, number: int, records: Iterable[tuple[Record, bytes | None]]) -> None:
    for position, (record, frame) in enumerate(records):
        staging.put(number, position, record, None if frame is None else frame.__bytes__)


def stage(folder: Path, images: Iterable[Image], *, heads_first: bool = True) -> dict[int, Staged]:
    """A whole staging with two threads."""
    with Staging(folder, threads=2) as staging:
        feed(staging, images, heads_first=heads_first)
        return staging.finish()


def content(staged: Staged) -> bytes:
    """The guest's view of a staged disk."""
    reader = open_reader(staged.path, staged.format)
    try:
        data = bytearray(reader.size_bytes)
        if data:
            reader.read_into(0, memoryview(data))
        return bytes(data)
    finally:
        reader.close()
