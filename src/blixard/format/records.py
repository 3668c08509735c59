"""Records of images: one stored line each way, and the checks that a record alone allows.

The usual forms are taken by one regular expression and `bytes.find`, so that reading costs what memchr costs; any other
order of keys, and any escape, goes to `strict_json`.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

import pybase64

from blixard.errors import MalformedExport
from blixard.format.cursor import SPACE, Cursor
from blixard.format.digests import DIGEST, record_line
from blixard.format.envelope import member
from blixard.limits import KIB, Limits
from blixard.model.canonical import canonical
from blixard.model.structs import Record

_KEYS = frozenset({"offset", "length", "blake3", "zstd", "skip"})
_INT = rb"(0|[1-9][0-9]{0,18})"
_COLON, _COMMA = SPACE + rb":" + SPACE, SPACE + rb"," + SPACE
_USUAL = re.compile(
    rb"\{" + SPACE
    + rb'(?:"offset"' + _COLON + _INT + _COMMA + rb")?"
    + rb'"length"' + _COLON + _INT + _COMMA
    + rb'"blake3"' + _COLON + rb'"([0-9a-f]{64})"' + SPACE
    + rb"(?:," + SPACE + rb'"skip"' + _COLON + _INT + SPACE + rb")?"
    + rb"(\}|," + SPACE + rb'"zstd"' + _COLON + rb'")'
)  # fmt: skip
_HEAD_BYTES = KIB


def encode_record(record: Record, frame: bytes | None, *, compress: bool, level: int = 1, last: bool = False) -> bytes:
    """A record as it is stored: its line, or the gzip member of its line. Pure: workers call it.

    Args:
        record: what the line says.
        frame: the zstd frame, for data and packs; None for a reference.
        compress: make a gzip member.
        level: isal's gzip level, 0 to 3.
        last: the last record of its image has no comma behind it.
    """
    offset = "" if record.offset is None else f'"offset": {record.offset}, '
    skip = f', "skip": {record.skip}' if record.skip else ""
    head = f'{{{offset}"length": {record.length}, "blake3": "{record.digest.hex()}"{skip}'.encode()
    end = b"}\n" if last else b"},\n"
    line = head + end if frame is None else b"".join((head, b', "zstd": "', pybase64.b64encode(frame), b'"', end))
    return member(line, level) if compress else line


def frame(text: str) -> bytes:
    """The zstd frame of `RecordRead.text`.

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
    cursor.peek()
    cursor.allow(cursor.limits.record_text_bytes, "record_text_bytes")
    cursor.hold(_HEAD_BYTES)
    return _read_usual(cursor) or _read_any(cursor)


def _read_usual(cursor: Cursor) -> tuple[Record, str | None, bytes] | None:
    match = _USUAL.match(cursor.buffer, cursor.pos)
    if match is None:
        return None
    offset, length, digest, skip, rest = match.groups()
    carries = rest != b"}"
    record = Record(
        offset=None if offset is None else int(offset),
        length=int(length),
        digest=bytes.fromhex(digest.decode()),
        carries=carries,
        skip=0 if skip is None else int(skip),
    )
    if skip is not None and (carries or not record.skip):
        return None
    start = match.end() - cursor.pos
    text = None
    if carries:
        end = cursor.string_size(start, cursor.limits.record_text_bytes, "record_text_bytes")
        view = memoryview(cursor.buffer)[cursor.pos + start : cursor.pos + end - 1]
        text = _plain_ascii(view)
        cursor.hold(end + 1)
        # an escape, a line break before the brace, a key behind it: not usual, and the other way knows what to say
        if text is None or cursor.buffer[cursor.pos + end : cursor.pos + end + 1] != b"}":
            return None
        start = end + 1
    _check(record, cursor)
    cursor.pos += start
    return record, text, record_line(record)


def _plain_ascii(view: memoryview) -> str | None:
    try:
        text = str(view, "ascii")
    except UnicodeDecodeError:
        return None
    return None if "\\" in text else text


def _read_any(cursor: Cursor) -> tuple[Record, str | None, bytes]:
    most = cursor.limits.record_text_bytes
    given, _ = cursor.element("record_text_bytes", strings=most)
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
