"""The seams of disks: what an export reads and what an import writes, whatever the format.

One conformance suite (tests/support/disk_conformance.py) runs on every reader and writer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from blixard.closing import Closing
from blixard.model.structs import DiskFormat


class Extent(Struct, frozen=True):
    """A run of bytes that may hold data: `offset` and `length` in bytes, guest view."""

    offset: int
    length: int


class DiskReader(Closing, Protocol):
    """Random access to what the guest sees of one disk. `read_into` may be called from several threads at once."""

    @property
    def size_bytes(self) -> int:
        """Virtual size."""

    @property
    def format(self) -> DiskFormat:
        """The format that the disk has, and that an import makes again."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the content: the disk's own, then its backing files from the top down.

        One path means that a copy of this file is a copy of the disk. More are a chain, and none (a running guest tells
        its content itself) leaves only reading: both are copied through the reader.
        """

    @property
    def snapshots(self) -> Sequence[object]:
        """Earlier states that the image keeps inside it, of which nothing is read: an export tells how many."""

    def extents(self) -> Iterator[Extent]:
        """What may hold data, ascending, not overlapping, inside `size_bytes`; everything else reads as zeros.

        Raises:
            StorageError: the file cannot be read.
            MalformedExport: the image breaks its format.
        """

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the guest's bytes from `offset`; zeros where nothing is stored.

        Raises:
            StorageError: EIO and the like, naming the path and the offset.
            MalformedExport: the image breaks its format there.
        """

    def changed(self) -> bool:
        """True when somebody wrote to the disk since it was opened (consistency is then `unknown`)."""


class DiskWriter(Closing, Protocol):
    """A new disk being staged. `write` and `read` may be called from several threads at once, on disjoint ranges.

    Every method but `close` may raise StorageError: no space, or an I/O error. `close` does not finish.
    """

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put guest bytes at `offset`; what is never written reads as zeros."""

    def read(self, offset: int, length: int) -> bytes:
        """Guest bytes as written so far (records refer back to earlier ones)."""

    def mark(self, offset: int, length: int) -> None:
        """What lies in a range belongs to the disk; `write` does it by itself.

        A resumed staging calls it for bytes that it found and hashed: a kill may have come between them and the table
        entry that allocates them.
        """

    def discard(self, offset: int, length: int) -> None:
        """Make a range read as zeros again, stored as a hole; cheap when nothing is stored there.

        A staging that goes on where an earlier one stopped calls it between records: what a killed import (of another
        document under the same name, even) left there must not end up in the disk.
        """

    def resize(self, size_bytes: int) -> None:
        """Set the size of a disk that was made without one; for one that has a size, only the same again.

        A document may tell a disk's size behind its records. Nothing is written past it from now on.
        """

    def sync(self) -> None:
        """What was written is durable when this returns."""

    def finish(self) -> None:
        """Write what the format needs besides data, and make all of it durable: a valid image stands now."""
