"""A seekable document opened along its index: state and images at once, any record or any image on demand.

Serves inspect, extract and peers; import reads front to back. One caller at a time.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO

import msgspec
from msgspec import UNSET

from blixard.closing import Closing
from blixard.errors import DigestMismatch, MalformedExport
from blixard.format.cursor import Cursor
from blixard.format.elements import element
from blixard.format.events import RecordRead, TelemetryRead
from blixard.format.images import ImagesReader
from blixard.format.layout import Index, read_tables
from blixard.format.records import read_record
from blixard.format.segments import Joined, Span
from blixard.format.skeleton import read_skeleton
from blixard.format.survey import Survey
from blixard.limits import DEFAULT, KIB, Limits
from blixard.ports import Input

_STRIDE = 1024


def open_fast(given: Input, *, limits: Limits = DEFAULT) -> FastView | None:
    """What a document says, without reading records; None when it cannot seek or has no index that proves right."""
    found = read_skeleton(given, limits=limits)
    return None if found is None else FastView(given, *found, limits)


class FastView(Closing):
    """A document opened along its index. Not proven: what the report leaves open, and each record until it is decoded.

    Attributes:
        survey: of all but the records; its report is as at the end of a whole read, but the digests of images are taken
            as stated.
        index: where everything stands.
        size: bytes of the file.
    """

    def __init__(self, given: Input, index: Index, survey: Survey, limits: Limits) -> None:
        self.survey = survey
        self.index = index
        self.size = given.size or 0
        self._given = given
        self._limits = limits
        self._lengths: _Lengths | None = None

    def close(self) -> None:
        """Give temporary files back. The input stays open: it is the caller's."""
        if self._lengths is not None:
            self._lengths.close()
            self._lengths = None

    def records(self, image: int) -> Iterator[RecordRead]:
        """All records of one image, in order.

        Raises:
            MalformedExport, LimitExceeded: as in `read_export`.
            DigestMismatch: behind the last one, when they are not what the image's digest says.
        """
        known, row = self.survey.images[image], self.index.images[image]
        head = json.dumps(msgspec.to_builtins(known.head))[:-1].encode()
        tail = {key: value for key, value in msgspec.to_builtins(known.tail).items() if value is not None}
        parts: list[bytes | Span] = [
            b"[" + head + b', "records": [',
            (row.at, row.end),
            b"], " + json.dumps(tail)[1:].encode() + b"]",
        ]
        reader = ImagesReader(Cursor(self.text(parts), self._limits))
        for event in reader.read():
            if isinstance(event, RecordRead):
                yield RecordRead(image, event.position, event.record, event.text)
        if reader.damaged:
            raise DigestMismatch(f"image {image} (`{known.head.vm}`/`{known.head.disk}`) is not what its digest says")

    def record(self, image: int, position: int) -> RecordRead:
        """One record of an image.

        Raises:
            MalformedExport: `record_tables` lies, or the record breaks a rule.
        """
        begin, end = self.place(image, position)
        if end - begin > self._limits.record_text_bytes + KIB:
            raise MalformedExport(f"image {image}: record {position} is stored in {end - begin} bytes")
        cursor = Cursor(self.text([b"[", (begin, end)]), self._limits)
        cursor.expect(b"[", "an array")
        record, text, _ = read_record(cursor)
        if cursor.rest(8) not in (b",\n", b"\n"):
            raise MalformedExport(f"image {image}: record {position} is not where `record_tables` says")
        return RecordRead(image, position, record, text)

    def telemetry(self) -> Iterator[TelemetryRead]:
        """Its elements, in order; none when the document has no such section.

        Raises:
            MalformedExport, LimitExceeded: as in `read_export`.
        """
        if self.index.telemetry is UNSET:
            return
        cursor = self._section((self.index.telemetry, self.index.images_at))
        for section in cursor.members():
            if section != "telemetry":
                element(cursor)
                continue
            cursor.allow(self._limits.telemetry_bytes, "telemetry_bytes")
            for key in cursor.members():
                for _ in cursor.items():
                    yield TelemetryRead(key, element(cursor, "telemetry_element_bytes")[0])

    def text(self, parts: Iterable[bytes | Span]) -> Joined:
        """The text of parts of the file."""
        return Joined(self._given, parts, compressed=self.index.compressed)

    def place(self, image: int, position: int) -> Span:
        """Where a record is stored: its line, or the gzip member of its line.

        Raises:
            MalformedExport: `record_tables` is not what the index says.
        """
        row = self.index.images[image]
        if not 0 <= position < row.records:
            raise IndexError(f"image {image} has {row.records} records")
        if self._lengths is None:
            self._lengths = self._read_lengths()
        begin, stored = self._lengths.place(image, position)
        return row.at + begin, row.at + begin + stored

    def _read_lengths(self) -> _Lengths:
        cursor = self._section((self.index.record_tables, int(self.index.own)))
        lengths = _Lengths(self._limits.spill_bytes)
        try:
            self._fill(lengths, cursor)
        except BaseException:
            lengths.close()
            raise
        return lengths

    def _section(self, section: Span) -> Cursor:
        # what follows the section is `,` and the next key: one more makes it an object
        return Cursor(self.text([b"{", section, b'"":0}']), self._limits)

    def _fill(self, lengths: _Lengths, cursor: Cursor) -> None:
        for key in cursor.members():
            if not key:
                cursor.text("element_bytes", strings=1)
                continue
            for image, batch in read_tables(cursor):
                lengths.add(image, batch)
        for image, row in enumerate(self.index.images):
            if lengths.total(image) != (row.records, row.stored_bytes):
                raise MalformedExport(f"image {image}: `record_tables` is not what `index` says")


class _Lengths:
    """Stored lengths of all records, packed and spilled; and where each image's begin."""

    def __init__(self, spill_bytes: int) -> None:
        self._file: IO[bytes] = SpooledTemporaryFile(max_size=spill_bytes)  # noqa: SIM115 - closed by `close`
        # for each image: number of its first length in the file, count, sum, and sums before each stride
        self._first: list[int] = []
        self._count: list[int] = []
        self._sum: list[int] = []
        self._before: list[array[int]] = []

    def add(self, image: int, batch: list[int]) -> None:
        """The next lengths of an image; images come in order, and may be empty."""
        while len(self._first) <= image:
            self._first.append(self._first[-1] + self._count[-1] if self._first else 0)
            self._count.append(0)
            self._sum.append(0)
            self._before.append(array("Q"))
        for length in batch:
            if self._count[image] % _STRIDE == 0:
                self._before[image].append(self._sum[image])
            self._count[image] += 1
            self._sum[image] += length
        self._file.write(array("I", batch).tobytes())

    def total(self, image: int) -> tuple[int, int]:
        """How many records an image has, and how many bytes they take."""
        return (self._count[image], self._sum[image]) if image < len(self._first) else (0, 0)

    def place(self, image: int, position: int) -> tuple[int, int]:
        """Bytes before a record, and its own."""
        stride = position // _STRIDE
        self._file.seek(4 * (self._first[image] + stride * _STRIDE))
        lengths = array("I", self._file.read(4 * (position - stride * _STRIDE + 1)))
        return self._before[image][stride] + sum(lengths[:-1]), lengths[-1]

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()
