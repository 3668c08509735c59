"""A valid document, and ways to change one thing in it: what hostile vectors are made of.

Sources: FORMAT.md; what libraries were seen to let through (research/reliability-anchors.md section 3); the failures of
neighbours in its section 2.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from msgspec import Struct

from blixard.errors import ExportFileError, LimitExceeded, MalformedExport
from blixard.limits import DEFAULT, MIB, Limits
from blixard.model.structs import Disk
from support.documents import data, head, image, noise, pack, reference, uuid, vm, write

Path = tuple[str | int, ...]


class Vector(Struct, frozen=True, kw_only=True):
    """A document, made when it is needed, and what reading it must raise."""

    name: str
    build: Callable[[], BinaryIO]
    error: type[ExportFileError] = MalformedExport
    says: str = ""
    limits: Limits = DEFAULT


def _base() -> dict[str, Any]:
    first, shared = data(0, noise(5000)), pack(noise(8192, 1))
    text = write(
        head(),
        [vm("web-1", id=uuid(1), disks=(Disk(name="root", size_bytes=4 * MIB, image=0),))],
        images=[image(pieces=[first, shared, reference(8192, shared, skip=4096)])],
        telemetry={"resourceLogs": [{"a": 1}]},
    )
    parsed: dict[str, Any] = json.loads(text)
    return parsed


BASE = _base()
TEXT = json.dumps(BASE).encode()
GZIP = gzip.compress(TEXT, mtime=0)
MEMBER = gzip.compress(b" ", mtime=0)
VM: Path = ("vms", "web-1")
IMAGE: Path = ("images", 0)
RECORD: Path = ("images", 0, "records", 0)
REFERENCE: Path = ("images", 0, "records", 2)


def of_bytes(name: str, content: bytes, error: type[ExportFileError] = MalformedExport, says: str = "") -> Vector:
    return Vector(name=name, build=lambda: io.BytesIO(content), error=error, says=says)


def put(name: str, path: Path, value: Any, error: type[ExportFileError] = MalformedExport, says: str = "") -> Vector:
    """The base document with one value set."""
    return of_bytes(name, json.dumps(_with(path, value)).encode(), error, says)


def drop(name: str, path: Path, says: str = "") -> Vector:
    """The base document with one key removed."""
    document = copy.deepcopy(BASE)
    del _at(document, path[:-1])[path[-1]]
    return of_bytes(name, json.dumps(document).encode(), says=says)


def swap(name: str, old: bytes, new: bytes, error: type[ExportFileError] = MalformedExport, says: str = "") -> Vector:
    """The base document with its first `old` replaced in the text."""
    assert old in TEXT, old
    return of_bytes(name, TEXT.replace(old, new, 1), error, says)


def literal(name: str, text: bytes, error: type[ExportFileError] = MalformedExport, says: str = "") -> Vector:
    """The base document with `text` as the value of an unknown top-level key."""
    return of_bytes(name, b'{"x": ' + text + b", " + TEXT[1:], error, says)


def small(name: str, limit: str, value: int) -> Vector:
    """The base document under one bound that it just breaks."""
    return Vector(
        name=name, build=lambda: io.BytesIO(TEXT), error=LimitExceeded, says=limit, limits=Limits(**{limit: value})
    )


class Endless(io.RawIOBase):
    """A stream that repeats one chunk a number of times: bombs without their memory."""

    def __init__(self, begin: bytes, chunk: bytes, times: int) -> None:
        super().__init__()
        self._pieces: Iterator[bytes] = iter([begin, *[chunk] * times])
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def bomb(name: str, begin: bytes, chunk: bytes, times: int, *, says: str = "") -> Vector:
    """A document that goes on for `times` chunks."""

    def build() -> BinaryIO:
        return Endless(begin, chunk, times)  # type: ignore[return-value]  # it reads, and no more is asked of it

    return Vector(name=name, build=build, error=LimitExceeded, says=says)


def _with(path: Path, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(BASE)
    _at(document, path[:-1])[path[-1]] = value
    return document


def _at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def gzip_member(content: bytes, *, crc: int | None = None, size: int | None = None, flags: int = 0) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    body = deflate.compress(content) + deflate.flush()
    crc = zlib.crc32(content) if crc is None else crc
    size = len(content) if size is None else size
    return b"\x1f\x8b\x08" + bytes([flags]) + b"\0" * 5 + b"\xff" + body + struct.pack("<II", crc, size)
