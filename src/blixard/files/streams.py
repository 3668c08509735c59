"""Binary streams over descriptors whose every operation passes the seam and whose errors name their path.

`io.FileIO` would raise a bare OSError from inside whoever reads or writes; here the error says which file it was.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from blixard.files.descriptors import write_all
from blixard.files.seam import AnyPath, translated
from blixard.files.write_back import WriteBack

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BUFFER_BYTES = 1 << 20


class SinkStream(io.RawIOBase):
    """A write-only stream over a descriptor, which stays open when the stream is closed."""

    def __init__(self, fd: int, path: AnyPath, write_back: WriteBack | None = None) -> None:
        self._fd = fd
        self._path = path
        self._write_back = write_back
        self._discarding = False

    def discard(self) -> None:
        """Throw away what is still written: a buffer in front of this one flushes when it is closed."""
        self._discarding = True

    def writable(self) -> bool:
        """See `io.IOBase.writable`: it is."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of `data`, never less."""
        view = memoryview(data)
        if self._discarding:
            return view.nbytes
        write_all(self._fd, view, self._path)
        if self._write_back is not None:
            self._write_back.advance(view.nbytes)
        return view.nbytes


class SourceStream(io.RawIOBase):
    """A read-only stream over a descriptor, front to back, which it owns."""

    def __init__(self, fd: int, path: AnyPath) -> None:
        self._fd = fd
        self._path = path

    def readable(self) -> bool:
        """See `io.IOBase.readable`: it is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read up to the buffer's size; 0 at the end."""
        with translated("read", self._path):
            return os.readv(self._fd, [buffer])

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            super().close()  # first: an interrupt in between must not have the descriptor closed twice
            os.close(self._fd)


class SpanStream(io.RawIOBase):
    """The bytes between two offsets of something that is read by offset; any number of them read beside each other.

    Without a buffer, so that a large read is not copied once more.

    Args:
        read_at: given an offset and a number of bytes.
        span: first byte, and first byte behind.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], span: tuple[int, int]) -> None:
        self._read_at = read_at
        self._begin, self._end = span
        self._at = self._begin

    def readable(self) -> bool:
        """See `io.IOBase.readable`: it is."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase.seekable`: it is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position; only from the beginning of the span."""
        if whence != os.SEEK_SET:
            raise io.UnsupportedOperation("seek")
        self._at = self._begin + offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end of the span."""
        left = max(0, self._end - self._at)
        data = self._read_at(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def buffered_sink(sink: SinkStream) -> BinaryIO:
    """`sink` with a buffer in front: an export's head is many small writes."""
    return cast("BinaryIO", io.BufferedWriter(sink, BUFFER_BYTES))


def buffered_source(source: SourceStream) -> io.BufferedReader:
    """`source` with a buffer in front."""
    return io.BufferedReader(source, BUFFER_BYTES)
