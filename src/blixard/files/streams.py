"""Binary streams over descriptors whose every operation passes the seam and whose errors name their path.

`io.FileIO` would raise a bare OSError from inside whoever reads or writes; here the error says which file it was.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

from blixard.files.descriptors import write_all
from blixard.files.seam import AnyPath, translated
from blixard.files.write_back import WriteBack

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BUFFER_BYTES = 1 << 20


class SinkStream(io.RawIOBase):
    """A write-only stream over a descriptor, which stays open when the stream is closed.

    Args:
        fd: what is written to.
        path: its name in errors.
        write_back: told about every write.
    """

    def __init__(self, fd: int, path: AnyPath, write_back: WriteBack | None = None) -> None:
        self._fd = fd
        self._path = path
        self._write_back = write_back
        self._discarding = False

    def discard(self) -> None:
        """Throw away what is still written: a buffer in front of this one flushes when it is closed."""
        self._discarding = True

    def writable(self) -> bool:
        """True."""
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
    """A read-only stream over a descriptor, which it owns."""

    def __init__(self, fd: int, path: AnyPath, *, seekable: bool) -> None:
        self._fd = fd
        self._path = path
        self._seekable = seekable

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """As the constructor was told."""
        return self._seekable

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read up to the buffer's size; 0 at the end."""
        with translated("read", self._path):
            return os.readv(self._fd, [buffer])

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position, when the source can."""
        if not self._seekable:
            raise io.UnsupportedOperation("seek")
        with translated("seek in", self._path):
            return os.lseek(self._fd, offset, whence)

    def close(self) -> None:
        """Close the descriptor; harmless twice."""
        if not self.closed:
            super().close()  # first: an interrupt in between must not have the descriptor closed twice
            os.close(self._fd)


def buffered_sink(sink: SinkStream) -> BinaryIO:
    """`sink` with a buffer in front: an export's head is many small writes."""
    return cast("BinaryIO", io.BufferedWriter(sink, BUFFER_BYTES))


def buffered_source(source: SourceStream) -> BinaryIO:
    """`source` with a buffer in front."""
    return cast("BinaryIO", io.BufferedReader(source, BUFFER_BYTES))
