"""A file or block device opened for reading by offset: what every disk format is read through.

One place for short reads, EIO, holes and "was it written to meanwhile", so that no format reader has its own rules. No
call moves a shared file position, therefore all of them may be made from several threads at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from blixard.errors import StorageError
from blixard.files.descriptors import OwnedDescriptor
from blixard.files.holes import data_ranges, punch_hole
from blixard.files.seam import translated

_LARGEST_READ = 1 << 30
"""Linux moves at most 2 GiB less a page in one call."""
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""O_NONBLOCK: opening a FIFO that nobody writes to must not hang; regular files and block devices ignore it."""


class Stamp(Struct, frozen=True):
    """What changes when somebody writes to a file: times in ns, size in bytes, sectors written for a block device."""

    device: int
    inode: int
    size: int
    mtime: int
    ctime: int
    written: int | None


class DiskFile(OwnedDescriptor):
    """An open regular file or block device; owns its descriptor. Every method may raise StorageError: an I/O error."""

    def __init__(self, fd: int, path: Path) -> None:
        """Take over `fd`, which was opened from `path`; it is closed when this raises.

        Raises:
            StorageError: it is neither a regular file nor a block device.
        """
        super().__init__(fd)
        self.path = path
        try:
            self.size_bytes = self.current_size()
            with translated("examine", path):
                self._stamp = _stamp(fd)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path) -> DiskFile:
        """Open an operator's own path, symlinks followed; never blocks.

        Raises:
            StorageError: missing, not permitted, or not a regular file or block device.
        """
        with translated("open", path):
            fd = os.open(path, _OPEN_FLAGS)
        return cls(fd, path)

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode: the same for two names of one file."""
        return self._stamp.device, self._stamp.inode

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes at `offset`; the file may not end before it is full."""
        got = self._read_some(offset, buffer)
        if got < len(buffer):
            raise StorageError(
                f"`{self.path}` ends at byte {offset + got}, {len(buffer)} bytes at offset {offset} were expected",
                hint="was it truncated while it was being read?",
            )

    def read_padded(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` like `read_into`, with zeros after the end of the file."""
        got = self._read_some(offset, buffer)
        if got < len(buffer):
            buffer[got:] = bytes(len(buffer) - got)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; the file may not end before."""
        data = bytearray(length)
        self.read_into(offset, memoryview(data))
        return bytes(data)

    def begins_with(self, magic: bytes) -> bool:
        """True when these are the first bytes."""
        return self.read(0, min(len(magic), self.size_bytes)) == magic

    def data_ranges(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """(start, end) of what the file system stores between `start` and `end`; all of it where it cannot say."""
        return data_ranges(self._fd, start, end, self.path)

    def discard(self, start: int, end: int) -> None:
        """Make `start` to `end` a hole; only for a descriptor that may write, and free where nothing is stored."""
        for stored, stop in self.data_ranges(start, end):
            punch_hole(self._fd, stored, stop - stored, self.path)

    def current_size(self) -> int:
        """Size in bytes now: a running VM's image grows."""
        with translated("examine", self.path):
            status = os.fstat(self._fd)
            if stat.S_ISREG(status.st_mode):
                return status.st_size
            if stat.S_ISBLK(status.st_mode):
                return os.lseek(self._fd, 0, os.SEEK_END)
        raise StorageError(f"`{self.path}` is neither a regular file nor a block device")

    def changed(self) -> bool:
        """True when times, size or a block device's write counter differ from when it was opened."""
        with translated("examine", self.path):
            return _stamp(self._fd) != self._stamp

    def _read_some(self, offset: int, buffer: memoryview) -> int:
        """Read until `buffer` is full or the file ends; return the number of bytes."""
        done = 0
        while done < len(buffer):
            try:
                got = os.preadv(self._fd, [buffer[done : done + _LARGEST_READ]], offset + done)
            except OSError as error:
                raise self._failed("read", offset + done, error) from error
            except OverflowError as error:
                raise StorageError(f"cannot read `{self.path}` at offset {offset}: no such offset") from error
            if got == 0:
                break
            done += got
        return done

    def _failed(self, what: str, offset: int, error: OSError) -> StorageError:
        return StorageError(f"cannot {what} `{self.path}` at offset {offset}: {error.strerror}")


def _stamp(fd: int) -> Stamp:
    """Take the stamp of what `fd` is open on."""
    status = os.fstat(fd)
    written = _sectors_written(status.st_rdev) if stat.S_ISBLK(status.st_mode) else None
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, written)


def _sectors_written(device: int) -> int | None:
    """Sectors written to a block device since boot; its node's times do not tell (Documentation/block/stat.rst)."""
    counters = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    try:
        return int(counters.read_text(encoding="ascii").split()[6])
    except (OSError, ValueError, IndexError):
        return None
