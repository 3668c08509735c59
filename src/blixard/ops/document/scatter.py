"""Write an image's records, each decoded once, to every place of the disk that shows its bytes.

References look back, into other images too. So the places of a record are known before it is decoded, and nothing that
the disk does not need is decoded at all.
"""

from __future__ import annotations

from functools import partial

from blake3 import blake3

from blixard.disks.records.crew import Crew
from blixard.disks.records.frames import open_frame
from blixard.errors import DigestMismatch, ExportFileError, MalformedExport
from blixard.format.events import RecordRead
from blixard.format.records import frame
from blixard.limits import MIB, Limits
from blixard.model.structs import Record
from blixard.ops.document.image_window import ImageContent, Window
from blixard.ports import DiskWriter, Progress

SEE_VERIFY = "`verify` shows what is intact"
"""The hint of every refusal of content that is damaged."""
_IN_FLIGHT_BYTES = 64 * MIB
_Places = tuple[tuple[int, int, int], ...]
"""Offset on the disk, bytes to skip in the record, length."""


def scatter(
    window: Window, content: ImageContent, writer: DiskWriter, *, threads: int, limits: Limits, progress: Progress
) -> None:
    """Write the content of an image.

    Args:
        window: the document.
        content: the image, its references known.
        writer: of the disk.
        threads: workers, at least 1.
        limits: the bounds in force.
        progress: told about guest bytes.

    Raises:
        DigestMismatch: a record's bytes are not what it says.
        MalformedExport: a reference to nothing.
    """
    wanted = dict(content.references)
    with Crew(threads, weight=_IN_FLIGHT_BYTES, name="extract") as crew:
        for event in window.records(content.image, wanted.keys()):
            record = event.record
            places = tuple(wanted.pop(record.digest, ()))
            if event.image == content.image and record.offset is not None:
                places = ((record.offset, 0, record.length), *places)
            if places:
                _check_places(places, record)
                crew.submit(partial(_write, event, places, writer, limits), record.length * 3)
                progress.advance(sum(length for _, _, length in places))
        crew.drain()
    if wanted:
        digest = next(iter(wanted))
        raise MalformedExport(
            f"the disk refers to data that is damaged or not in the file: `{digest.hex()}`", hint=SEE_VERIFY
        )


def _check_places(places: _Places, record: Record) -> None:
    for offset, skip, length in places:
        if skip + length > record.length:
            raise MalformedExport(f"the record at offset {offset} refers past the end of what it names")


def _write(event: RecordRead, places: _Places, writer: DiskWriter, limits: Limits) -> None:
    record = event.record
    try:
        data = open_frame(frame(event.text or ""), record.length, record_bytes=limits.record_bytes)
    except ExportFileError as problem:
        raise DigestMismatch(
            f"the record `{record.digest.hex()}` is damaged: {problem.message}", hint=SEE_VERIFY
        ) from problem
    if blake3(data).digest() != record.digest:
        raise DigestMismatch(f"a record's bytes do not match its blake3 `{record.digest.hex()}`", hint=SEE_VERIFY)

    view = memoryview(data)
    for offset, skip, length in places:
        writer.write(offset, view[skip : skip + length])
