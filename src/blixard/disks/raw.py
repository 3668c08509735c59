"""Raw disks: the file's bytes are the guest's bytes, and its holes are the guest's zeros.

The reader asks the file system where data is and reads nothing else; the writer leaves holes where nothing was written.
Both are stateless by offset, so any number of threads may share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blixard import files
from blixard.closing import Closing
from blixard.disks.source import DiskFile
from blixard.errors import InternalError
from blixard.model.structs import DiskFormat
from blixard.ports import Extent


class RawReader(Closing):
    """A raw disk image or block device (`ports.DiskReader`)."""

    format = DiskFormat.RAW
    snapshots = ()

    def __init__(self, source: DiskFile) -> None:
        """Take over an open source; `close` closes it."""
        self._source = source
        self.files = (source.path,)

    @property
    def size_bytes(self) -> int:
        """Size of the file when it was opened."""
        return self._source.size_bytes

    def extents(self) -> Iterator[Extent]:
        """What the file system stores; one extent for everything where it cannot tell."""
        for start, end in self._source.data_ranges(0, self.size_bytes):
            yield Extent(start, end - start)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `DiskReader.read_into`."""
        self._source.read_into(offset, buffer)

    def changed(self) -> bool:
        """See `DiskReader.changed`."""
        return self._source.changed()

    def close(self) -> None:
        """See `DiskReader.close`."""
        self._source.close()


class NewDisk(Closing):
    """The file of a disk that is being staged, sparse: what the writers of all formats do in the same way.

    Args:
        path: must not exist, or with `resume` must. The file is private.
        begin: offset in the file of the disk's first byte; all guest bytes follow it in one piece.
        size_bytes: virtual size; None while it is not known.
        resume: keep what an earlier run wrote.
    """

    def __init__(self, path: Path, begin: int, size_bytes: int | None, *, resume: bool) -> None:
        self._path = path
        self._begin = begin
        self._size = size_bytes
        self._fd = files.open_existing(path) if resume else files.create(path)
        self._source = DiskFile(self._fd, path)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """See `DiskWriter.write`."""
        if self._size is not None and offset + len(data) > self._size:
            raise InternalError(f"write of {len(data)} bytes at {offset} beyond the end of `{self._path}`")
        files.pwrite_all(self._fd, data, self._begin + offset, self._path)

    def read(self, offset: int, length: int) -> bytes:
        """See `DiskWriter.read`."""
        data = bytearray(length)
        self._source.read_padded(self._begin + offset, memoryview(data))
        return bytes(data)

    def discard(self, offset: int, length: int) -> None:
        """See `DiskWriter.discard`."""
        self._source.discard(self._begin + offset, self._begin + offset + length)

    def sync(self) -> None:
        """See `DiskWriter.sync`."""
        files.fdatasync(self._fd, self._path)

    def close(self) -> None:
        """See `DiskWriter.close`."""
        self._source.close()


class RawWriter(NewDisk):
    """A raw disk being staged (`ports.DiskWriter`).

    With `size_bytes` None the size is not known yet (a re-formatted export tells it after the records): the file grows
    with what is written, until `resize`.
    """

    def __init__(self, path: Path, size_bytes: int | None, *, resume: bool = False) -> None:
        super().__init__(path, 0, size_bytes, resume=resume)
        if size_bytes is None:
            return
        try:
            self.resize(size_bytes)
        except BaseException:
            self.close()
            raise

    def resize(self, size_bytes: int) -> None:
        """See `DiskWriter.resize`."""
        self._size = size_bytes
        files.truncate(self._fd, size_bytes, self._path)

    def mark(self, offset: int, length: int) -> None:
        """Do nothing: a raw disk has no table of what belongs to it."""

    def finish(self) -> None:
        """Make content and size durable; a raw disk needs nothing besides."""
        files.fsync(self._fd, self._path)
