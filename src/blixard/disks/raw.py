"""Raw disks: the file's bytes are the guest's bytes, and its holes are the guest's zeros.

The reader asks the file system where data is and reads nothing else; the writer leaves holes where nothing was written.
Both are stateless by offset, so any number of threads may share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blixard import files
from blixard.disks.source import DiskFile
from blixard.errors import InternalError
from blixard.model.structs import DiskFormat
from blixard.ports import Extent


class RawReader:
    """A raw disk image or block device (`ports.DiskReader`)."""

    format = DiskFormat.RAW
    snapshots = ()

    def __init__(self, source: DiskFile) -> None:
        """Take over an open source; `close` closes it."""
        self._source = source
        self.files = (source.path,)

    @classmethod
    def open(cls, path: Path) -> RawReader:
        """Open a file or block device; whatever its first bytes say, it is raw.

        Raises:
            StorageError: missing, not permitted, or not a regular file or block device.
        """
        return cls(DiskFile.open(path))

    @property
    def size_bytes(self) -> int:
        """Size of the file when it was opened."""
        return self._source.size_bytes

    def extents(self) -> Iterator[Extent]:
        """Yield what the file system stores; one extent for everything where it cannot tell.

        Raises:
            StorageError: an I/O error.
        """
        for start, end in self._source.data_ranges(0, self.size_bytes):
            yield Extent(start, end - start)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`.

        Raises:
            StorageError: an I/O error, or past the end of the disk.
        """
        self._source.read_into(offset, buffer)

    def changed(self) -> bool:
        """True when somebody wrote to the file since it was opened."""
        return self._source.changed()

    def close(self) -> None:
        """Close the file; harmless twice."""
        self._source.close()


class RawWriter:
    """A raw disk being staged, sparse (`ports.DiskWriter`).

    With `size_bytes` None the size is not known yet (a re-formatted export tells it after the records): the file grows
    with what is written, until `resize`.
    """

    def __init__(self, path: Path, size_bytes: int | None, *, resume: bool = False) -> None:
        """Make the file, private, or with `resume` open the one that an earlier run left.

        Raises:
            StorageError: it exists (or does not, with `resume`), or no space or permission.
        """
        self._path = path
        self._size = size_bytes
        self._fd = files.open_existing(path) if resume else files.create(path)
        self._source = DiskFile(self._fd, path)
        if size_bytes is None:
            return
        try:
            self.resize(size_bytes)
        except BaseException:
            self.close()
            raise

    def resize(self, size_bytes: int) -> None:
        """Set the size of the disk; nothing is written beyond it from now on.

        Raises:
            StorageError: the file system cannot hold such a file.
        """
        self._size = size_bytes
        files.truncate(self._fd, size_bytes, self._path)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put `data` at `offset`.

        Raises:
            StorageError: no space, or an I/O error.
        """
        if self._size is not None and offset + len(data) > self._size:
            raise InternalError(f"write of {len(data)} bytes at {offset} beyond the end of `{self._path}`")
        files.pwrite_all(self._fd, data, offset, self._path)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`; zeros where nothing was written.

        Raises:
            StorageError: an I/O error.
        """
        data = bytearray(length)
        self._source.read_padded(offset, memoryview(data))
        return bytes(data)

    def mark(self, offset: int, length: int) -> None:
        """Do nothing: a raw disk has no table of what belongs to it."""

    def discard(self, offset: int, length: int) -> None:
        """Make a range a hole again.

        Raises:
            StorageError: an I/O error.
        """
        self._source.discard(offset, offset + length)

    def sync(self) -> None:
        """Make what was written durable.

        Raises:
            StorageError: an I/O error.
        """
        files.fdatasync(self._fd, self._path)

    def finish(self) -> None:
        """Make content and size durable; a raw disk needs nothing besides.

        Raises:
            StorageError: an I/O error.
        """
        files.fsync(self._fd, self._path)

    def close(self) -> None:
        """Close the file; harmless twice."""
        self._source.close()
