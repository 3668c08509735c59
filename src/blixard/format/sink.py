"""Where a document is written to: text or stored lines in, bytes out, counted, plain or as gzip members.

Needs nothing but `write`, so that pipes and devices do; offsets come from counting.
"""

from __future__ import annotations

from typing import BinaryIO

from blixard.format.envelope import MemberStream

_BLOCK = 256 << 10


class Sink:
    """Counts and cuts what is written.

    Attributes:
        offset: bytes written, or ready to be.
        compress: text becomes gzip members.
    """

    def __init__(self, out: BinaryIO, *, compress: bool, level: int) -> None:
        self.offset = 0
        self.compress = compress
        self._out = out
        self._level = level
        self._member: MemberStream | None = None
        self._block = bytearray()

    def text(self, text: bytes) -> None:
        """Append text to the member at hand."""
        if not self.compress:
            self.stored(text)
            return
        if self._member is None:
            self._member = MemberStream(self._level)
        self.stored(self._member.feed(text))

    def cut(self) -> int:
        """End the member at hand: the offset at which the next text begins."""
        if self._member is not None:
            self.stored(self._member.end())
            self._member = None
        return self.offset

    def stored(self, data: bytes) -> None:
        """Append bytes as they are, behind a `cut`."""
        self.offset += len(data)
        if len(data) >= _BLOCK:
            self.flush()
            self._write(data)
            return
        self._block += data
        if len(self._block) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Hand over what is held back."""
        block, self._block = self._block, bytearray()
        self._write(block)

    def _write(self, data: bytes | bytearray) -> None:
        rest = memoryview(data)
        while rest:
            # an unbuffered file may take less than it was given
            rest = rest[self._out.write(rest) :]
