"""The `images` section of a damaged file: image by image, what can be read of it, in the layout that our writer makes.

A line is a record, the head of an image or its tail. One that is lost, or makes no sense any more, costs the image in
which it stood and no other. Nothing here is believed because it could be read: each image is held against its digest as
ever, and its number against the state. Source: FORMAT.md sections 3 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO

from msgspec import structs

from blixard.errors import MalformedExport
from blixard.format import strict_json
from blixard.format.cursor import Cursor
from blixard.format.digests import LinesDigest, image_digest
from blixard.format.envelope import MemberDamaged, PlainText
from blixard.format.events import Event, ImageBegun, ImageLost, ImageRead, RecordRead
from blixard.format.images import HEAD_KEYS, TAIL_KEYS, Coverage, head_of, tail_of
from blixard.format.records import read_record, read_usual
from blixard.limits import KIB, Limits
from blixard.model.structs import ImageHead, JsonObject, Record

_START_OF_IMAGES = b" [\n"
START = re.compile(re.escape(_START_OF_IMAGES) + rb"    \{(?!\n)")
_HEAD = re.compile(rb'    (\{"[^\n]*), "records": \[\n')
_TAIL = re.compile(rb'(?:    \], )?("data_bytes": [^\n]*\}),?\n')
_END_OF_RECORDS = b"    ], "
_END_OF_IMAGES = b"  ]"
_BEHIND = re.compile(rb'(?:  )?"(?:integrity|record_tables|index)": ')
_END_OF_DOCUMENT = b"}\n"
_END_OF_LINE = re.compile(rb",?\n")
_HEAD_BYTES = KIB

Named = Mapping[int, tuple[str, str]]
"""The VM and the disk or file whose content an image is, by the image's number."""


class LossyImages:
    """Reads the section; same attributes as `ImagesReader`, where a lost image has the digest "".

    Args:
        cursor: behind the key `images`, where `START` matches.
        named: what the state says.
        skip: goes on behind damage that the source met; False when nothing follows.
        begins: offset of the key in the text.
    """

    def __init__(self, cursor: Cursor, named: Named, skip: Callable[[], bool], begins: int) -> None:
        self.digests: list[str] = []
        self.damaged: list[int] = []
        self._cursor = cursor
        self._skip = skip
        self._named = named
        self._numbers: dict[tuple[str, str], list[int]] = {}
        for image, name in sorted(named.items()):
            self._numbers.setdefault(name, []).append(image)
        self._image: _Image | None = None
        # False once an image may have been lost without a trace
        self._counted = True
        # what made no sense between images, where it is no image's loss
        self._stray: str | None = None
        self._records = 0
        self._begins = begins

    def read(self) -> Iterator[Event]:
        """Pass the section."""
        cursor = self._cursor
        cursor.pos += len(_START_OF_IMAGES)
        while True:
            # the longest record, and the few bytes around it
            most = cursor.limits.record_text_bytes + KIB
            cursor.allow(most, "record_text_bytes")
            try:
                found = self._usual_record()
                line = b"" if found else cursor.next_line(most, "record_text_bytes")
            except MemberDamaged as problem:
                yield from self._damaged_member(problem)
                continue
            if found:
                yield from self._record(*found)
                continue
            if not line.endswith(b"\n"):
                cursor.pos += len(line)
                cursor.fetch()
            if self._is_behind(line):
                yield from self._end()
                return
            cursor.pos += len(line)
            yield from self._line(line)

    def _is_behind(self, line: bytes) -> bool:
        """True, standing where the document goes on, when the section ends with `line` or ended before it."""
        if line.startswith(_END_OF_IMAGES):
            self._cursor.pos += len(_END_OF_IMAGES)
        elif _BEHIND.match(line):
            self._cursor.insert(b",")
        elif line != _END_OF_DOCUMENT or self._image is not None:
            return False
        return True

    def _line(self, line: bytes) -> Iterator[Event]:
        if line.startswith(b"{"):
            yield from self._unusual_record(line)
        elif head := _HEAD.fullmatch(line):
            yield from self._head(head[1] + b"}")
        elif tail := _TAIL.fullmatch(line):
            yield from self._tail(b"{" + tail[1])
        elif line.strip():
            yield from self._lose(f"the line that ends at byte `{self._cursor.at}` makes no sense", records=1)

    def _damaged_member(self, problem: MemberDamaged) -> Iterator[Event]:
        if problem.begins < self._begins:
            raise problem  # it holds some of the state too, which was read and may be wrong
        yield from self._lose(problem.message, records=1)
        if self._cursor.forget_damage().startswith(_END_OF_RECORDS):
            self._close()
        if not self._skip():
            raise problem

    def _usual_record(self) -> tuple[Record, str | None, bytes] | None:
        """The record that stands here and ends its line, without a copy of the line; else None, and nothing passed."""
        cursor = self._cursor
        cursor.hold(_HEAD_BYTES)
        begin = cursor.at
        if cursor.buffer[cursor.pos : cursor.pos + 1] != b"{":
            return None
        try:
            found = read_usual(cursor)
        except MalformedExport as problem:
            if isinstance(problem, MemberDamaged):
                raise
            return None
        if found is None:
            return None
        # held already, and fetching more would drop what may have to be read again
        end = _END_OF_LINE.match(cursor.buffer, cursor.pos)
        if end is None:
            cursor.pos -= cursor.at - begin
            return None
        cursor.pos = end.end()
        return found

    def _unusual_record(self, line: bytes) -> Iterator[Event]:
        if self._image is None:
            yield from self._begin_unknown()
        cursor = _Line(line, self._cursor.at - len(line), self._cursor.limits)
        try:
            found = read_record(cursor)
            if not _END_OF_LINE.fullmatch(line, cursor.pos):
                raise cursor.malformed("something follows a record on its line")
        except MalformedExport as problem:
            yield from self._lose(problem.message, records=1)
            return
        yield from self._record(*found)

    def _record(self, record: Record, text: str | None, canonical: bytes) -> Iterator[Event]:
        if self._image is None:
            yield from self._begin_unknown()
        image = self._open()
        self._records += 1
        if self._records > self._cursor.limits.records:
            raise self._cursor.over("records")
        size = self._cursor.limits.disk_bytes if image.head is None else image.head.size_bytes
        wrong = image.extent.add(record, size)
        if wrong:
            yield from self._lose(f"it {wrong}")
        image.lines.add(canonical)
        if not image.lost:
            yield RecordRead(image.number, image.position, record, text)
        elif record.carries:
            # its disk is lost, its bytes are as good as those of a pack
            yield RecordRead(image.number, image.position, structs.replace(record, offset=None), text)
        image.position += 1

    def _head(self, text: bytes) -> Iterator[Event]:
        if self._image is not None:
            yield from self._lose("its end cannot be read")
            self._close()
        try:
            keys = self._object(text, HEAD_KEYS)
            head = head_of(self._cursor, keys, len(self.digests))
            number = self._number(head)
        except MalformedExport:
            number = None
        if number is None:
            yield from self._begin_unknown()
            return
        yield from self._lose_up_to(number)
        self._counted = True
        self._image = _Image(number, keys, head)
        yield ImageBegun(number, head)

    def _number(self, head: ImageHead) -> int | None:
        """The number of the image that begins; None when it cannot be told."""
        if self._counted:
            return len(self.digests)
        numbers = [each for each in self._numbers.get((head.vm, head.disk), ()) if each >= len(self.digests)]
        return numbers[0] if len(numbers) == 1 else None

    def _tail(self, text: bytes) -> Iterator[Event]:
        image = self._image
        if image is None:
            yield from self._lose(f"an image ends at byte `{self._cursor.at}` that never began")
            return
        try:
            keys = self._object(text, TAIL_KEYS)
            tail = tail_of(self._cursor, keys, image.number)
        except MalformedExport as problem:
            yield from self._lose(problem.message)
            self._close()
            return
        if tail.data_bytes != image.extent.covered:
            yield from self._lose(f"`data_bytes` is {tail.data_bytes}, records cover {image.extent.covered}")
        if image.lost:
            self._close()
            return
        computed = image_digest({**image.keys, **keys}, image.lines)
        self._close(computed)
        if computed != tail.digest:
            self.damaged.append(image.number)
        assert image.head is not None  # noqa: S101 - else it was lost
        yield ImageRead(image.number, image.head, tail, computed)

    def _end(self) -> Iterator[Event]:
        if self._image is not None:
            yield from self._lose("its end cannot be read")
            self._close()
        if not self._counted:
            yield from self._lose_up_to(max(self._named, default=-1) + 1)
        if self._stray is not None and not self.damaged:
            # every image is whole, so nothing was lost: something was put in
            raise MalformedExport(f"between the images, {self._stray}")

    def _lose(self, problem: str, *, records: int = 0) -> Iterator[Event]:
        """Something was lost here, `records` records probably."""
        self._counted = False
        image = self._image
        if image is None:
            self._stray = self._stray or problem
            return
        if not image.lost:
            image.lost = True
            yield ImageLost(image.number, image.position, problem)
        image.position += records

    def _lose_up_to(self, number: int) -> Iterator[Event]:
        """Of the images before `number` that did not come, nothing was read."""
        if number > self._cursor.limits.images:
            raise self._cursor.over("images")
        while len(self.digests) < number:
            yield ImageLost(len(self.digests), 0, "nothing of it can be read")
            self._digest_of_lost()

    def _begin_unknown(self) -> Iterator[Event]:
        """Records follow, and whose they are is lost."""
        self._image = _Image(len(self.digests), {}, None)
        yield from self._lose("its beginning cannot be read")

    def _close(self, digest: str = "") -> None:
        """The image at hand is over."""
        if self._image is None:
            return
        if digest and not self._image.lost:
            self.digests.append(digest)
        else:
            self._digest_of_lost()
        self._image = None

    def _digest_of_lost(self) -> None:
        self.damaged.append(len(self.digests))
        self.digests.append("")
        if len(self.digests) > self._cursor.limits.images:
            raise self._cursor.over("images")

    def _open(self) -> _Image:
        assert self._image is not None  # noqa: S101 - callers began one
        return self._image

    def _object(self, text: bytes, wanted: frozenset[str]) -> JsonObject:
        value, _ = strict_json.parse_at(self._cursor.at - len(text), text)
        if not isinstance(value, dict) or not value.keys() <= wanted:
            raise self._cursor.malformed("an image has an unknown key")
        return value


class _Image:
    """The image at hand. `position`: of the next record, counting those that were lost."""

    def __init__(self, number: int, keys: JsonObject, head: ImageHead | None) -> None:
        self.number = number
        self.keys = keys
        self.head = head
        self.lines = LinesDigest()
        self.extent = Coverage()
        self.position = 0
        self.lost = False


class _Line(Cursor):
    """One line, at hand whole."""

    def __init__(self, line: bytes, at: int, limits: Limits) -> None:
        super().__init__(PlainText(BytesIO()), limits)
        self.buffer = line
        self._base = at
        self._ended = True

    def more(self) -> bool:
        """Nothing follows."""
        return False

    def _fill(self) -> bool:
        return False
