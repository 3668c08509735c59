"""Which records of a staged image are durable: one bit each, in a file beside it.

A bit is written only after the data it speaks for was synced, and what a bit says is hashed again before it is
believed; so neither a kill nor another document under the same name can put wrong bytes into a disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from blixard import files
from blixard.files.descriptors import OwnedDescriptor
from blixard.model.structs import DiskFormat

_MAGIC = b"blixard records 1\n"
_HEADER_BYTES = 4096


class BitmapTitle(msgspec.Struct, frozen=True, kw_only=True):
    """What the bits are about; a staging goes on only where all of it is the same."""

    key: str
    """Of the document: the name of its folder under `.incoming/`."""
    image: int
    format: DiskFormat
    size_bytes: int | None
    """None while the document has not told it."""


class RecordBitmap(OwnedDescriptor):
    """The bits of one image. One thread adds; any may ask. What touches the file may raise StorageError."""

    def __init__(self, fd: int, path: Path, bits: bytearray) -> None:
        super().__init__(fd)
        self._path = path
        self._bits = bits

    @classmethod
    def create(cls, path: Path, title: BitmapTitle) -> RecordBitmap:
        """A new file without a bit set; one that exists is a StorageError."""
        bitmap = cls(files.create(path), path, bytearray())
        try:
            files.pwrite_all(bitmap._fd, _header(title), 0, path)
        except BaseException:
            bitmap.close()
            raise
        return bitmap

    @classmethod
    def open(cls, path: Path, title: BitmapTitle, *, positions: int) -> RecordBitmap | None:
        """What an earlier run left, or None when there is none or it is about something else.

        Args:
            path: of the file.
            title: must be the same.
            positions: bound on the number of bits.
        """
        if not path.is_file():
            return None
        fd = files.open_existing(path)
        try:
            whole = files.pread(fd, _HEADER_BYTES + positions // 8 + 1, 0, path)
        except BaseException:
            os.close(fd)
            raise
        bitmap = cls(fd, path, bytearray(whole[_HEADER_BYTES:]))
        if whole[:_HEADER_BYTES] != _header(title):
            bitmap.close()
            return None
        return bitmap

    def __contains__(self, position: int) -> bool:
        at = position >> 3
        return at < len(self._bits) and bool(self._bits[at] >> (position & 7) & 1)

    def add(self, positions: Iterable[int]) -> None:
        """Set bits. The data must be durable already; the bits may reach the disk later."""
        touched = [self._set(position) for position in positions]
        if touched:
            first, last = min(touched), max(touched)
            files.pwrite_all(self._fd, bytes(self._bits[first : last + 1]), _HEADER_BYTES + first, self._path)

    def sync(self) -> None:
        """What was added is durable when this returns."""
        files.fdatasync(self._fd, self._path)

    def close(self) -> None:
        """Release the descriptor and the bits."""
        super().close()
        self._bits = bytearray()

    def _set(self, position: int) -> int:
        at = position >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1 - len(self._bits)))
        self._bits[at] |= 1 << (position & 7)
        return at


def _header(title: BitmapTitle) -> bytes:
    return (_MAGIC + msgspec.json.encode(title)).ljust(_HEADER_BYTES, b"\n")
