"""Exports with any number of records that take little room: what memory is held against.

Each record is a number and one byte over and over: no two have a digest in common, and zstd leaves less than 100 bytes
of each, so that a disk of 1 TiB is a file of 250 MB.
"""

from __future__ import annotations

from pathlib import Path

import zstandard
from blake3 import blake3

from blixard.format.records import encode_record
from blixard.format.writer import ExportWriter
from blixard.limits import MIB
from blixard.model.structs import Consistency, DiskFormat, ExportMetadata, ImageHead, Record
from support.documents import disk, head, vm


def write_many(file: Path, records: int, *, length: int = MIB, compress: bool = False) -> None:
    """An export of one VM `big`, whose disk has a record of `length` bytes at the beginning of each MiB."""
    stride = max(length, MIB)
    size = records * stride
    with file.open("wb") as sink, ExportWriter(sink, compress=compress) as writer:
        writer.write_state(
            head(metadata=ExportMetadata(images_included=True)),
            [vm("big", disks=(disk("root", size_bytes=size, image=0),))],
        )
        writer.begin_images()
        writer.begin_image(ImageHead(vm="big", disk="root", format=DiskFormat.RAW, size_bytes=size))
        packer = zstandard.ZstdCompressor(level=1, write_checksum=False)
        content = bytearray(b"~" * length)
        for number in range(records):
            content[:8] = number.to_bytes(8, "big")
            record = Record(number * stride, length, blake3(content).digest(), carries=True)
            frame = packer.compress(content)
            writer.write_record(record, frame, encode_record(record, frame, compress=compress))
        writer.end_image(consistency=Consistency.STOPPED)
        writer.finish()
