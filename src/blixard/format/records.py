"""Records of images: one stored line each way, and the checks that a record alone allows.

Known keys without escapes are taken by a regular expression and `bytes.find`, so that reading costs what memchr costs;
whatever is unusual goes to `strict_json`, and gets its error there.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

import pybase64

from blixard.errors import MalformedExport
from blixard.format.cursor import SPACE, Cursor
from blixard.format.digests import DIGEST, record_line
from blixard.format.elements import element
from blixard.format.envelope import member
from blixard.limits import GZIP_LEVEL, KIB, Limits
from blixard.model.canonical import canonical
from blixard.model.structs import Record

_KEYS = frozenset({"offset", "length", "blake3", "zstd", "skip"})
_MEMBER = re.compile(
    SPACE + rb'"(?:(offset|length|skip)"' + SPACE + rb":" + SPACE + rb"(0|[1-9][0-9]{0,18})"
    + rb'|blake3"' + SPACE + rb":" + SPACE + rb'"([0-9a-f]{64})"'
    + rb'|zstd"' + SPACE + rb":" + SPACE + rb'")'
)  # fmt: skip
_AFTER = re.compile(SPACE + rb"([,}])")
WRITTEN = re.compile(
    rb'\{(?:"offset": (0|[1-9][0-9]{0,18}), )?"length": (0|[1-9][0-9]{0,18}), "blake3": "(?P<digest>[0-9a-f]{64})"'
    rb'(?:(?P<carries>, "zstd": ")("\})?|(?:, "skip": ([1-9][0-9]{0,18}))?\})'
)
"""As `encode_record` writes it: a reference or a record without its frame, or one up to its frame."""
_HEAD_BYTES = KIB


def encode_record(
    record: Record,
    frame: bytes | memoryview | None,
    *,
    compress: bool,
    gzip_level: int = GZIP_LEVEL,
    last: bool = False,
) -> tuple[bytes, ...]:
    """A record as it is stored: its line, or the gzip member of its line. Pure: workers call it.

    In pieces, because joining them would copy the base64 once more: a twentieth of an export's time.

    Args:
        record: what the line says.
        frame: the zstd frame, for data and packs; None for a reference.
        compress: make a gzip member.
        gzip_level: isal's gzip level, 0 to 3.
        last: the last record of its image has no comma behind it.
    """
    offset = "" if record.offset is None else f'"offset": {record.offset}, '
    skip = f', "skip": {record.skip}' if record.skip else ""
    head = f'{{{offset}"length": {record.length}, "blake3": "{record.digest.hex()}"{skip}'.encode()
    end = b"}\n" if last else b"},\n"
    line = (head + end,) if frame is None else (head + b', "zstd": "', pybase64.b64encode(frame), b'"' + end)
    return (member(b"".join(line), gzip_level),) if compress else line


def frame(text: str | memoryview) -> bytes:
    """The zstd frame of `RecordRead.text`, or of the same text as bytes.

    Raises:
        MalformedExport: the text is not base64 (RFC 4648 section 4, padded, nothing else in between).
    """
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise MalformedExport("a record's `zstd` is not base64") from problem


def read_record(cursor: Cursor) -> tuple[Record, str | None, bytes]:
    """Pass one record: itself, the text of its frame, and its canonical line for H.

    Raises:
        MalformedExport, LimitExceeded: a rule of FORMAT.md section 3 or 7 is broken.
    """
    opening = cursor.peek()
    cursor.allow(cursor.limits.record_text_bytes, "record_text_bytes")
    cursor.hold(_HEAD_BYTES)
    if opening != b"{"[0]:
        return _read_any(cursor)
    return _read_written(cursor) or read_usual(cursor) or _read_any(cursor)


def _read_written(cursor: Cursor) -> tuple[Record, str | None, bytes] | None:
    """A record whose line is as we write it, in one step: half the time of `read_usual`, which takes all others."""
    found = WRITTEN.match(cursor.buffer, cursor.pos)
    if found is None:
        return None
    offset, length, digest, carries, hollow, skip = found.groups()
    if offset is None and not carries:
        return None
    size = found.end() - cursor.pos
    text = "" if carries else None
    if carries and not hollow:
        end = cursor.string_size(size, cursor.limits.record_text_bytes, "record_text_bytes")
        cursor.hold(end + 1)
        text = _plain_ascii(memoryview(cursor.buffer)[cursor.pos + size : cursor.pos + end - 1])
        if text is None or cursor.buffer[cursor.pos + end : cursor.pos + end + 1] != b"}":
            return None
        size = end + 1
    record = Record(
        None if offset is None else int(offset),
        int(length),
        bytes.fromhex(digest.decode()),
        carries=text is not None,
        skip=int(skip or 0),
    )
    _check(record, cursor)
    cursor.pos += size
    return record, text, record_line(record)


def read_usual(cursor: Cursor) -> tuple[Record, str | None, bytes] | None:
    """A record of known keys without escapes, in any order; None for everything else, which has its error elsewhere."""
    numbers: dict[bytes, int] = {}
    digest, text = b"", None
    size, after = 1, b","
    while after == b",":
        found = _MEMBER.match(cursor.buffer, cursor.pos + size)
        if found is None:
            return None
        size = found.end() - cursor.pos
        key, number, hexdigits = found.groups()
        if key is not None and key not in numbers:
            numbers[key] = int(number)
        elif hexdigits is not None and not digest:
            digest = hexdigits
        elif key is None and hexdigits is None and text is None:
            end = cursor.string_size(size, cursor.limits.record_text_bytes, "record_text_bytes")
            text = _plain_ascii(memoryview(cursor.buffer)[cursor.pos + size : cursor.pos + end - 1])
            if text is None:
                return None
            size = end
            cursor.hold(size + _HEAD_BYTES)
        else:
            return None
        follows = _AFTER.match(cursor.buffer, cursor.pos + size)
        if follows is None:
            return None
        size = follows.end() - cursor.pos
        after = follows[1]
    return _usual(cursor, size, numbers, digest, text)


def _usual(
    cursor: Cursor, size: int, numbers: dict[bytes, int], digest: bytes, text: str | None
) -> tuple[Record, str | None, bytes] | None:
    offset, length, skip = numbers.get(b"offset"), numbers.get(b"length"), numbers.get(b"skip", 0)
    if length is None or not digest or (text is None and offset is None):
        return None
    # an explicit `"skip": 0` counts in H: only the other way keeps it
    if b"skip" in numbers and (text is not None or not skip):
        return None
    record = Record(offset, length, bytes.fromhex(digest.decode()), carries=text is not None, skip=skip)
    _check(record, cursor)
    cursor.pos += size
    return record, text, record_line(record)


def _plain_ascii(view: memoryview) -> str | None:
    try:
        text = str(view, "ascii")
    except UnicodeDecodeError:
        return None
    return None if "\\" in text else text


def _read_any(cursor: Cursor) -> tuple[Record, str | None, bytes]:
    most = cursor.limits.record_text_bytes
    given, _ = element(cursor, "record_text_bytes", strings=most)
    if not isinstance(given, dict):
        raise cursor.malformed("a record must be an object")
    unknown = given.keys() - _KEYS
    if unknown:
        raise cursor.malformed(f"a record has the unknown key `{min(unknown)[:80]}`")
    text = given.pop("zstd", None)
    record = _from_object(given, text, cursor)
    _check(record, cursor)
    return record, text, canonical(given) + b"\n"


def _from_object(given: dict[str, Any], text: Any, cursor: Cursor) -> Record:
    for key in ("length", "blake3"):
        if key not in given:
            raise cursor.malformed(f"a record has no `{key}`")
    for key in ("offset", "length", "skip"):
        if type(given.get(key, 0)) is not int or given.get(key, 0) < 0:
            raise cursor.malformed(f"a record's `{key}` must be a whole number")
    if not isinstance(given["blake3"], str) or not DIGEST.fullmatch(given["blake3"]):
        raise cursor.malformed("a record's `blake3` must be 64 lower-case hex digits")
    if text is not None and not isinstance(text, str):
        raise cursor.malformed("a record's `zstd` must be a string")
    if text is not None and "skip" in given:
        raise cursor.malformed("only a reference has `skip`")
    if text is None and "offset" not in given:
        raise cursor.malformed("a record without `zstd` is a reference and needs an `offset`")
    return Record(
        offset=given.get("offset"),
        length=given["length"],
        digest=bytes.fromhex(given["blake3"]),
        carries=text is not None,
        skip=given.get("skip", 0),
    )


def _check(record: Record, cursor: Cursor) -> None:
    limits: Limits = cursor.limits
    if record.length < 1:
        raise cursor.malformed("a record of no bytes")
    if record.length > limits.record_bytes or record.skip + record.length > limits.record_bytes:
        raise cursor.over("record_bytes")
