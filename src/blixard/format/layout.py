"""`index` and `record_tables` as they stand in a file: what is where, for those who do not read front to back.

A hint, and hostile until proven: reading front to back checks only that they are what FORMAT.md section 5 says they
look like, and takes nothing from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from blixard.format.cursor import Cursor
from blixard.format.elements import element
from blixard.limits import KIB

Offset = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="bytes from the start of the file")]
Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="bytes")]
RecordCount = Annotated[int, Meta(ge=0, le=1 << 28)]

_RUN = re.compile(rb"[0-9, \t\n\r]*+")
_LENGTHS = msgspec.json.Decoder(list[Annotated[int, Meta(ge=1)]])
_LONGEST = (1 << 32) - 1


class ImageRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one image stands. `at`: its first record; `tail`: the first key behind its records."""

    vm: str
    disk: str
    size_bytes: Size
    records: RecordCount
    data_bytes: Size
    stored_bytes: Size
    at: Offset
    tail: Offset

    @property
    def end(self) -> int:
        """First byte behind its records."""
        return self.at + self.stored_bytes


class Index(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where everything stands. Each offset is of the first byte of a key, in gzip of the member that starts there."""

    layout: Literal["gzip", "plain"]
    images: tuple[ImageRow, ...]
    telemetry: Offset | UnsetType = UNSET
    images_at: Offset
    integrity: Offset | UnsetType = UNSET
    record_tables: Offset
    own: Annotated[str, Meta(pattern=r"^[0-9]{20}$(?!\n)")] = field(name="self")

    @property
    def compressed(self) -> bool:
        """True for a gzip file."""
        return self.layout == "gzip"


def read_index_section(cursor: Cursor) -> Index:
    """Pass the `index` section.

    Raises:
        MalformedExport: a key is unknown, missing or of another type.
    """
    value, _ = element(cursor, "state_bytes", values=cursor.limits.values)
    try:
        return msgspec.convert(value, Index)
    except msgspec.ValidationError as problem:
        raise cursor.malformed(f"`index`: {problem}") from problem


def read_tables(cursor: Cursor) -> Iterator[tuple[int, list[int]]]:
    """Pass the `record_tables` section: batches of stored lengths in order, each with the number of its image.

    Raises:
        MalformedExport: something else than arrays of lengths.
        LimitExceeded: more lengths than there may be records.
    """
    # a length is 10 digits and a comma at most, and white space as generous as `jq .` makes it
    cursor.allow(32 * min(cursor.limits.records, 1 << 28) + KIB, "records")
    count = 0
    for image in cursor.items():
        if image >= cursor.limits.images:
            raise cursor.over("images")
        for _ in cursor.items():
            cursor.hold(KIB)
            run = _RUN.match(cursor.buffer, cursor.pos)
            assert run is not None  # noqa: S101 - the expression matches the empty text
            # up to the last comma: the length behind it may not be held whole
            before = run[0][: run[0].rfind(b",") + 1]
            cursor.pos += len(before)
            text = before + cursor.text("element_bytes", strings=cursor.limits.string_bytes)
            try:
                batch = _LENGTHS.decode(b"[" + text + b"]")
            except msgspec.DecodeError as problem:
                raise cursor.malformed("`record_tables` must hold lengths") from problem
            if max(batch) > _LONGEST:
                raise cursor.malformed("`record_tables` holds a length over 4 GiB")
            count += len(batch)
            if count > cursor.limits.records:
                raise cursor.over("records")
            yield image, batch
