"""Binary streams over descriptors whose every operation passes the seam and whose errors name their path.

`io.FileIO` would raise a bare OSError from inside whoever reads or writes; here the error says which file it was.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

from blixard.files.descriptors import write_all
from blixard.files.seam import AnyPath, translated
from blixard.files.write_back import begin_write_back

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BUFFER_BYTES = 1 << 20
WRITE_BACK_BYTES = 16 << 20
"""After so many bytes the kernel is asked to begin writing them: it would wait for gigabytes, and `fsync` for all."""


class SinkStream(io.RawIOBase):
    """A write-only stream over a descriptor, which stays open when the stream is closed."""

    def __init__(self, fd: int, path: AnyPath) -> None:
        self._fd = fd
        self._path = path
        self._discarding = False
        self._written = self._begun = 0

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
        self._written += view.nbytes
        # for a pipe, or a file that was not new, this may name a range that is not there: then nothing happens
        if self._written - self._begun >= WRITE_BACK_BYTES:
            begin_write_back(self._fd, self._begun, self._written - self._begun)
            self._begun = self._written
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
            os.close(self._fd)
        super().close()


def buffered_sink(sink: SinkStream) -> BinaryIO:
    """`sink` with a buffer in front: an export's head is many small writes."""
    return cast("BinaryIO", io.BufferedWriter(sink, BUFFER_BYTES))


def buffered_source(source: SourceStream) -> BinaryIO:
    """`source` with a buffer in front."""
    return cast("BinaryIO", io.BufferedReader(source, BUFFER_BYTES))
