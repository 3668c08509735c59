"""Pieces of a seekable file, and literal text, joined to one text that the ordinary reader reads.

So what an index leads to is parsed by the same code as everything else, and an offset that lies gives text that makes
no sense.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

from blixard.files import SpanStream
from blixard.format.envelope import GzipText, PlainText, TextSource
from blixard.ports import Input

Span = tuple[int, int]
"""First byte, and first byte behind."""


class Joined:
    """The text of spans of a file that can seek, and of literal pieces; of a gzip file, spans are whole members."""

    def __init__(self, given: Input, parts: Iterable[bytes | Span], *, compressed: bool) -> None:
        self.compressed = compressed
        self._given = given
        self._parts = iter(parts)
        self._current: TextSource | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end of the last part.

        Raises:
            MalformedExport: a span is not made of whole gzip members.
        """
        while True:
            if self._current is None:
                part = next(self._parts, None)
                if part is None:
                    return b""
                self._current = self._open(part)
            text = self._current.read(size)
            if text:
                return text
            self._current = None

    def _open(self, part: bytes | Span) -> TextSource:
        if isinstance(part, bytes):
            return PlainText(io.BytesIO(part))
        stream = SpanStream(self._given.read_at, part)
        return GzipText(stream, before=part[0]) if self.compressed else PlainText(stream)
