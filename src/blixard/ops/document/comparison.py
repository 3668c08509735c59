"""A sink that keeps nothing and finds the first place where what it is given differs from a document's text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from blixard.format.envelope import open_text
from blixard.limits import MIB

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_END = b"\n}\n"
_LAYOUT = b',\n  "record_tables": '


class Difference(Exception):
    """What was written is not what the document has; the message says where."""


class TextComparison(io.RawIOBase):
    """Compares what is written to it with the text of `stream`, plain or gzip.

    Args:
        stream: the document, at its first byte.
        whole: all of it must be alike. Else the layout at the end, which tells of stored bytes, is not looked at.
    """

    def __init__(self, stream: BinaryIO, *, whole: bool) -> None:
        self._text = open_text(stream)
        self._whole = whole
        self._held = b""
        self._line = 1

    def writable(self) -> bool:
        """True: it is a file that is only written to."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Compare the next bytes; the last few are held back, because the end may be of another form.

        Raises:
            Difference: they are not what the text has.
        """
        given = bytes(data)
        ready = self._held + given
        self._held = ready[-len(_END) :]
        self._compare(ready[: -len(_END)])
        return len(given)

    def finish(self) -> None:
        """Compare the end, once everything was written.

        Raises:
            Difference: the text ends otherwise.
        """
        if self._whole:
            self._compare(self._held)
            if self._text.read(1):
                raise Difference("something follows its end")
            return
        rest = self._take(len(_LAYOUT))
        if rest not in (_END, _LAYOUT):
            raise self._difference(0)

    def _compare(self, wanted: bytes) -> None:
        found = self._take(len(wanted))
        if found != wanted:
            pairs = enumerate(zip(found, wanted, strict=False))
            same = next((at for at, (one, other) in pairs if one != other), len(found))
            raise self._difference(wanted[:same].count(10))
        self._line += wanted.count(10)

    def _difference(self, further: int) -> Difference:
        return Difference(f"line {self._line + further} is not as `fmt` writes it")

    def _take(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size and (piece := self._text.read(min(size, MIB))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
