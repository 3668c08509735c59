"""The `images` section: images one after the other, their records streamed, in any order of an image's keys.

What a record must be beside its neighbours is checked here: offsets ascend, nothing overlaps, all lies inside the disk,
and the image's own count of bytes is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blixard.errors import InvalidField
from blixard.format.cursor import Cursor
from blixard.format.digests import DIGEST, LinesDigest, image_digest
from blixard.format.elements import element
from blixard.format.events import Event, ImageBegun, ImageRead, RecordRead
from blixard.format.records import read_record
from blixard.limits import MIB
from blixard.model.codec import check_name, decode_object
from blixard.model.structs import ImageHead, ImageTail, Record

HEAD_KEYS = frozenset({"vm", "disk", "format", "size_bytes"})
TAIL_KEYS = frozenset({"data_bytes", "consistency", "failed", "digest"})


class ImagesReader:
    """Reads the section and keeps, of each image, its digest.

    Args:
        skeleton: the records were cut out (skeleton.py): what they say in sum is taken from the file, unproven.

    Attributes:
        digests: computed, by image number.
        damaged: numbers of images whose own `digest` does not match.
    """

    def __init__(self, cursor: Cursor, *, skeleton: bool = False) -> None:
        self.digests: list[str] = []
        self.damaged: list[int] = []
        self._cursor = cursor
        self._skeleton = skeleton
        self._records = 0

    def read(self) -> Iterator[Event]:
        """Pass the section."""
        for position in self._cursor.items():
            if position >= self._cursor.limits.images:
                raise self._cursor.over("images")
            self._allow()
            yield from self._image(position)

    def _allow(self) -> None:
        # the few keys around the records, each far below a string's bound
        self._cursor.allow(4 * self._cursor.limits.string_bytes + MIB, "string_bytes")

    def _image(self, image: int) -> Iterator[Event]:
        cursor = self._cursor
        keys: dict[str, Any] = {}
        extent = Coverage()
        lines: LinesDigest | None = None
        for key in cursor.members():
            if key == "records":
                head = head_of(cursor, keys, image) if keys.keys() >= HEAD_KEYS else None
                yield ImageBegun(image, head)
                lines = LinesDigest()
                yield from self._all_records(image, head, lines, extent)
                self._allow()
            elif key in HEAD_KEYS or key in TAIL_KEYS:
                keys[key] = element(cursor)[0]
            else:
                raise cursor.malformed(f"image {image} has the unknown key `{key[:80]}`")
        head, tail = head_of(cursor, keys, image), tail_of(cursor, keys, image)
        if lines is None:
            raise cursor.malformed(f"image {image} has no `records`")
        if extent.end > head.size_bytes:
            raise cursor.malformed(f"image {image}: records reach byte {extent.end}, the disk has {head.size_bytes}")
        if not self._skeleton and tail.data_bytes != extent.covered:
            raise cursor.malformed(f"image {image}: `data_bytes` is {tail.data_bytes}, records cover {extent.covered}")
        computed = tail.digest if self._skeleton else image_digest(keys, lines)
        self.digests.append(computed)
        if computed != tail.digest:
            self.damaged.append(image)
        yield ImageRead(image, head, tail, computed)

    def _all_records(self, image: int, head: ImageHead | None, lines: LinesDigest, extent: Coverage) -> Iterator[Event]:
        cursor = self._cursor
        size = cursor.limits.disk_bytes if head is None else head.size_bytes
        for position in cursor.items():
            if self._skeleton:
                raise cursor.malformed(f"image {image}: a record stands where none should")
            record, text, line = read_record(cursor)
            self._records += 1
            if self._records > cursor.limits.records:
                raise cursor.over("records")
            wrong = extent.add(record, size)
            if wrong:
                raise cursor.malformed(f"image {image}: record {position} {wrong}")
            lines.add(line)
            yield RecordRead(image, position, record, text)


def head_of(cursor: Cursor, keys: dict[str, Any], image: int) -> ImageHead:
    """What the keys of an image say before its records.

    Raises:
        MalformedExport, LimitExceeded: a key is missing or breaks its rule.
    """
    try:
        head = decode_object({key: keys[key] for key in keys.keys() & HEAD_KEYS}, ImageHead, f"images[{image}]")
        check_name(head.vm, f"images[{image}].vm")
        check_name(head.disk, f"images[{image}].disk")
    except InvalidField as problem:
        raise cursor.malformed(problem.message) from problem
    if head.size_bytes < 0:
        raise cursor.malformed(f"image {image}: `size_bytes` is negative")
    if head.size_bytes > cursor.limits.disk_bytes:
        raise cursor.over("disk_bytes")
    return head


def tail_of(cursor: Cursor, keys: dict[str, Any], image: int) -> ImageTail:
    """What the keys of an image say behind its records.

    Raises:
        MalformedExport: a key is missing or breaks its rule.
    """
    try:
        tail = decode_object({key: keys[key] for key in keys.keys() & TAIL_KEYS}, ImageTail, f"images[{image}]")
    except InvalidField as problem:
        raise cursor.malformed(problem.message) from problem
    if (tail.consistency is None) == (tail.failed is None):
        raise cursor.malformed(f"image {image} must have either `consistency` or `failed`")
    if not DIGEST.fullmatch(tail.digest):
        raise cursor.malformed(f"image {image}: `digest` must be 64 lower-case hex digits")
    return tail


class Coverage:
    """What the records of an image cover so far: where the last one ends, and their sum, in bytes."""

    __slots__ = ("covered", "end")

    def __init__(self) -> None:
        self.end = 0
        self.covered = 0

    def add(self, record: Record, size: int) -> str | None:
        """The next record of a disk of `size` bytes; what is wrong with its place, and then it does not count."""
        if record.offset is None:
            return None
        if record.offset < self.end:
            return "overlaps or goes back"
        end = record.offset + record.length
        if end > size:
            return f"reaches byte {end} of {size}"
        self.end = end
        self.covered += record.length
        return None
