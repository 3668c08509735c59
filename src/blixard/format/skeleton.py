"""Finds the index of a seekable file, and proves what it says, without reading records.

Cuts the records and the telemetry out along the index, and reads what remains as a document, with the ordinary reader:
the smallest trust in offsets that is possible. Whatever does not prove right means that there is no index, and the one
who asked reads front to back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from msgspec import UNSET, structs

from blixard.errors import ExportFileError
from blixard.format.cursor import SPACE, Cursor
from blixard.format.envelope import MAGIC, index_offset
from blixard.format.layout import ImageRow, Index, read_index_section
from blixard.format.reader import DocumentReader
from blixard.format.segments import Joined, Span
from blixard.format.survey import Survey, survey
from blixard.limits import DEFAULT, Limits
from blixard.model.structs import ImageHead, ImageTail
from blixard.ports import Input

_PLAIN_END = re.compile(rb'"self": "([0-9]{20})"\}\}\n\Z')
_END_OF_RECORDS = re.compile(SPACE + rb"\]" + SPACE + b"," + SPACE)
_TAIL_BYTES = 100
_GLANCE_BYTES = 4096


def read_index(given: Input, *, limits: Limits = DEFAULT) -> Index | None:
    """The index of a file that can seek, when one stands where its last bytes say; no offset is proven by this."""
    size = given.size
    if not given.seekable or size is None:
        return None
    compressed, at = _find(given, size)
    if at is None or at >= size:
        return None
    cursor = Cursor(Joined(given, [b"{", (at, size)], compressed=compressed), limits)
    try:
        for key in cursor.members():
            if key != "index":
                return None
            index = read_index_section(cursor)
        cursor.finish()
    except ExportFileError:
        return None
    own = int(index.own) == at and index.compressed is compressed
    return index if own and _ordered(index, size) else None


def read_skeleton(given: Input, *, limits: Limits = DEFAULT) -> tuple[Index, Survey] | None:
    """The index and the document without records and telemetry; None when there is no index or it does not prove right.

    The report of the survey compares all sections that were read; what is told of telemetry, and what images say in
    sum, is as stated.
    """
    index = read_index(given, limits=limits)
    if index is None:
        return None
    try:
        if not all(_stands_at(given, index, key, at) for key, at in _places(index)):
            return None
        if not all(_ends_right(given, index, row) for row in index.images):
            return None
        return _read(given, index, limits)
    except ExportFileError:
        return None


def _find(given: Input, size: int) -> tuple[bool, int | None]:
    compressed = given.read_at(0, len(MAGIC)) == MAGIC
    tail = given.read_at(max(0, size - _TAIL_BYTES), _TAIL_BYTES)
    if compressed:
        return True, index_offset(tail)
    match = _PLAIN_END.search(tail)
    return False, int(match[1]) if match else None


def _ordered(index: Index, size: int) -> bool:
    """All offsets ascend, nothing overlaps, all lie inside the file."""
    places = [0]
    if index.telemetry is not UNSET:
        places.append(index.telemetry)
    places.append(index.images_at)
    for row in index.images:
        places += (row.at, row.end, row.tail)
    if index.integrity is not UNSET:
        places.append(index.integrity)
    places += (index.record_tables, int(index.own), size)
    return all(before <= behind for before, behind in pairwise(places))


def _places(index: Index) -> Iterator[tuple[str, int]]:
    yield "images", index.images_at
    yield "record_tables", index.record_tables
    if index.telemetry is not UNSET:
        yield "telemetry", index.telemetry
    if index.integrity is not UNSET:
        yield "integrity", index.integrity
    for row in index.images:
        yield "data_bytes", row.tail


def _stands_at(given: Input, index: Index, key: str, at: int) -> bool:
    wanted = f'"{key}":'.encode()
    # a key is looked at, not what follows it: that may be a gigabyte of records
    end = min(at + _GLANCE_BYTES, int(index.own))
    source = Joined(given, [(at, end)], compressed=index.compressed)
    text = b""
    while len(text) < len(wanted) and (piece := source.read(len(wanted) - len(text))):
        text += piece
    return text == wanted


def _ends_right(given: Input, index: Index, row: ImageRow) -> bool:
    """Behind the last record's line stands the end of the array, and then the tail."""
    if (row.records == 0) != (row.stored_bytes == 0) or row.tail - row.end > _GLANCE_BYTES:
        return False
    if not index.compressed and given.read_at(row.end - 1, 1) != b"\n":
        return False
    source = Joined(given, [(row.end, row.tail)], compressed=index.compressed)
    return _END_OF_RECORDS.fullmatch(source.read(_GLANCE_BYTES)) is not None


def _read(given: Input, index: Index, limits: Limits) -> tuple[Index, Survey] | None:
    source = Joined(given, _without_records(index, given.size or 0), compressed=index.compressed)
    found = survey(DocumentReader(source, limits, skeleton=True).events())
    if len(found.images) != len(index.images):
        return None
    rows = list(zip(index.images, found.images.values(), strict=True))
    if not all(_agree(row, image.head, image.tail) for row, image in rows):
        return None
    stored = 0 if index.telemetry is UNSET else index.images_at - index.telemetry
    seen = structs.replace(
        found,
        images={
            image.image: structs.replace(
                image, records=row.records, stored_bytes=row.stored_bytes, carried_bytes=None, frame_bytes=None
            )
            for row, image in rows
        },
        telemetry=None if stored else {},
        quick=True,
        telemetry_stored_bytes=stored,
    )
    return index, seen


def _without_records(index: Index, size: int) -> Iterator[Span]:
    begin = 0
    if index.telemetry is not UNSET:
        yield 0, index.telemetry
        begin = index.images_at
    for row in index.images:
        yield begin, row.at
        begin = row.end
    yield begin, index.record_tables
    yield int(index.own), size


def _agree(row: ImageRow, head: ImageHead, tail: ImageTail) -> bool:
    return (row.vm, row.disk, row.size_bytes, row.data_bytes) == (head.vm, head.disk, head.size_bytes, tail.data_bytes)
