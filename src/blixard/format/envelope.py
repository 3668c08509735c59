"""The gzip envelope: any run of members in as one stream of text, single members out.

A decoder that stops at the expected length never checks the trailer, and Python's takes an empty file and trailing
zeros for gzip (measured, research/reliability-anchors.md section 3). So every member is read to its trailer, which isal
checks, and nothing may follow the last one. Output is produced in bounded pieces, whatever the ratio.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from isal import igzip_lib, isal_zlib

from blixard.errors import MalformedExport

MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # the stub says an instance
_FIRST_FEED = 4 << 10
_FEED = 64 << 10

# an empty member whose FEXTRA subfield `BX` holds 8 bytes, little-endian (RFC 1952 section 2.3.1.1)
_END_HEAD = MAGIC + b"\x08\x04\0\0\0\0\0\xff" + b"\x0c\0" + b"BX\x08\0"
_END_TAIL = b"\x03\0" + b"\0" * 8
END_BYTES = len(_END_HEAD) + 8 + len(_END_TAIL)


class MemberDamaged(MalformedExport):
    """A gzip member is not what was written: what it holds is lost, and says nothing about the next ones.

    Inside this package only: the reader knows what the member should have held, and raises what that means.
    `begins`: offset in the text at which the member began.
    """

    def __init__(self, message: str, *, begins: int) -> None:
        super().__init__(message)
        self.begins = begins


class ByteSource(Protocol):
    """A stream as far as a document is read from it: a binary file, or a part of one."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class TextSource(Protocol):
    """Where the text of a document comes from."""

    @property
    def compressed(self) -> bool:
        """True when it came out of gzip."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none only at the proven end."""


def ends_early(at: int, inside: str = "") -> MalformedExport:
    """The error for a file that ends, `at` so many bytes, before its document does."""
    hint = "it was cut short: copy it again, or export again"
    return MalformedExport(f"the file ends early, at byte `{at}`{inside}", hint=hint)


def open_text(stream: ByteSource, gzip: Callable[[ByteSource, bytes], TextSource] | None = None) -> TextSource:
    """The text of a plain or gzip document, of the latter as `gzip` reads it; the first bytes decide, never a name."""
    head = b""
    while len(head) < len(MAGIC) and (piece := stream.read(len(MAGIC) - len(head))):
        head += piece
    return (gzip or GzipText)(stream, head) if head == MAGIC else PlainText(stream, head)


class PlainText:
    """A plain document."""

    compressed = False

    def __init__(self, stream: ByteSource, head: bytes = b"") -> None:
        self._stream = stream
        self._head = head

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(size)


class GzipText:
    """A gzip document: its members' text, one after the other.

    Args:
        stream: the file, or a part of one.
        head: what was read of it already.
        before: bytes of the file before `stream`, so that messages name places in the file.
    """

    compressed = True

    def __init__(self, stream: ByteSource, head: bytes = b"", *, before: int = 0) -> None:
        self._stream = stream
        self._chunk = memoryview(head)
        self._at = 0
        self._before = before
        self._member: igzip_lib.IgzipDecompressor | None = None
        self._member_at = 0
        self._given = self._begins = 0
        self._feed = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none only after the trailer of the last member.

        Raises:
            MalformedExport: a member is damaged or cut short, or something else follows the last one.
        """
        while True:
            member = self._member or self._next_member()
            if member is None:
                return b""
            text = self._step(member, size)
            if text:
                self._given += len(text)
                return text

    def _next_member(self) -> igzip_lib.IgzipDecompressor | None:
        while len(self._chunk) - self._at < len(MAGIC):
            piece = self._stream.read(CHUNK)
            if not piece:
                break
            rest = bytes(self._chunk[self._at :])
            self._before += self._at
            self._chunk, self._at = memoryview(rest + piece), 0
        self._member_at, self._begins = self._before + self._at, self._given
        if self._at == len(self._chunk):
            return None
        if self._chunk[self._at : self._at + len(MAGIC)] != MAGIC:
            raise MemberDamaged(
                f"something that is not gzip follows the last gzip member, at byte `{self._member_at}`",
                begins=self._begins,
            )
        # small at first: what a member leaves unused is copied back, and tiny members would copy the chunk every time
        self._feed = _FIRST_FEED
        self._member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return self._member

    def _step(self, member: igzip_lib.IgzipDecompressor, size: int) -> bytes:
        piece: bytes | memoryview = self._next_input() if member.needs_input else b""
        try:
            text: bytes = member.decompress(piece, size)
        except _IsalError as problem:
            raise self._damaged(str(problem)) from problem
        if member.eof:
            self._at -= len(member.unused_data)
            self._member = None
        return text

    def _damaged(self, problem: str) -> MemberDamaged:
        message = f"the gzip member at byte `{self._member_at}` is damaged: {problem}"
        return MemberDamaged(message, begins=self._begins)

    def _next_input(self) -> memoryview:
        if self._at == len(self._chunk):
            self._before += self._at
            self._chunk, self._at = memoryview(self._stream.read(CHUNK)), 0
            if not self._chunk:
                raise ends_early(self._before, ", inside a gzip member")
        piece = self._chunk[self._at : self._at + self._feed]
        self._at += len(piece)
        self._feed = _FEED
        return piece


def member(data: bytes, level: int) -> bytes:
    """One gzip member: mtime 0, no name, so that the same data gives the same bytes."""
    compressed: bytes = igzip_lib.compress(data, level=level, flag=igzip_lib.COMP_GZIP)
    return compressed


def end_member(offset: int) -> bytes:
    """The empty last member, which tells where the member of `index` begins (FORMAT.md section 5)."""
    return _END_HEAD + struct.pack("<Q", offset) + _END_TAIL


def index_offset(tail: bytes) -> int | None:
    """The offset in `end_member`, from the last bytes of a file; None when they are something else."""
    last = tail[-END_BYTES:]
    if len(last) != END_BYTES or not last.startswith(_END_HEAD) or not last.endswith(_END_TAIL):
        return None
    return int(struct.unpack_from("<Q", last, len(_END_HEAD))[0])


class MemberStream:
    """One member of any length, fed piece by piece and compressed in blocks of fixed size: deterministic bytes."""

    _BLOCK = 256 << 10

    def __init__(self, level: int) -> None:
        self._deflate = isal_zlib.compressobj(level=level, wbits=31)
        self._block = bytearray()

    def feed(self, text: bytes) -> bytes:
        """Take `text`: the compressed bytes that are ready to be stored."""
        self._block += text
        ready = []
        while len(self._block) >= self._BLOCK:
            ready.append(self._deflate.compress(bytes(self._block[: self._BLOCK])))
            del self._block[: self._BLOCK]
        return b"".join(ready)

    def end(self) -> bytes:
        """The last compressed bytes, and the trailer."""
        rest: bytes = self._deflate.compress(bytes(self._block)) + self._deflate.flush()
        return rest
