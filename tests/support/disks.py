"""Disks in memory that keep the ports' contracts, and builders of their content."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from blixard.closing import Closing
from blixard.errors import StorageError
from blixard.limits import BLOCK_BYTES
from blixard.model.structs import DiskFormat
from blixard.ports import Extent


class MemoryDisk(Closing):
    """A DiskReader over bytes. `extents` default to all of it; `fails_at` is the byte that cannot be read."""

    def __init__(
        self,
        data: bytes,
        extents: list[tuple[int, int]] | None = None,
        *,
        fails_at: int | None = None,
        format: DiskFormat = DiskFormat.RAW,  # noqa: A002 - the port's name
    ) -> None:
        self.data = data
        self._extents = [(0, len(data))] if extents is None else extents
        self._fails_at = fails_at
        self._format = format
        self.read_bytes = 0

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    @property
    def format(self) -> DiskFormat:
        return self._format

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    @property
    def snapshots(self) -> Sequence[object]:
        return ()

    def extents(self) -> Iterator[Extent]:
        for offset, length in self._extents:
            yield Extent(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        end = offset + len(buffer)
        if self._fails_at is not None and offset <= self._fails_at < end:
            raise StorageError(f"cannot read `memory` at offset `{self._fails_at}`")
        assert end <= len(self.data), "read past the end of the disk"
        buffer[:] = self.data[offset:end]
        self.read_bytes += len(buffer)

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        pass


class SparseDisk(MemoryDisk):
    """A reader of a huge disk that holds `data` at `offset` and nothing else."""

    def __init__(self, size_bytes: int, offset: int, data: bytes) -> None:
        super().__init__(data, [(offset, len(data))] if data else [])
        self._size, self._offset = size_bytes, offset

    @property
    def size_bytes(self) -> int:
        return self._size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        for at in range(len(buffer)):
            inside = offset + at - self._offset
            buffer[at] = self.data[inside] if 0 <= inside < len(self.data) else 0
        self.read_bytes += len(buffer)


class MemoryWriter(Closing):
    """A DiskWriter into memory that remembers which blocks were written."""

    def __init__(self, size_bytes: int) -> None:
        self.data = bytearray(size_bytes)
        self.blocks: set[int] = set()
        self.finished = False
        self._lock = threading.Lock()

    def write(self, offset: int, data: bytes | memoryview) -> None:
        assert offset + len(data) <= len(self.data), "write past the end of the disk"
        with self._lock:
            self.data[offset : offset + len(data)] = data
            self.blocks.update(range(offset // BLOCK_BYTES, -(-(offset + len(data)) // BLOCK_BYTES)))

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            return bytes(self.data[offset : offset + length])

    def mark(self, offset: int, length: int) -> None:
        pass

    def discard(self, offset: int, length: int) -> None:
        self.data[offset : offset + length] = bytes(length)

    def resize(self, size_bytes: int) -> None:
        assert size_bytes == len(self.data)

    def sync(self) -> None:
        pass

    def finish(self) -> None:
        self.finished = True

    def close(self) -> None:
        pass


def mixed_disk(seed: int, blocks: int, *, tail_bytes: int = 0, shared: int = 4) -> bytes:
    """Blocks that are zero, random, text-like, or one of `shared` that all disks have in common; and a short tail."""
    rng = random.Random(seed)
    common = [random.Random(n).randbytes(BLOCK_BYTES) for n in range(shared)]
    parts: list[bytes] = []
    while len(parts) < blocks:
        kind = rng.randrange(4)
        length = min(rng.randrange(1, 24), blocks - len(parts))
        if kind == 0:
            parts += [bytes(BLOCK_BYTES)] * length
        elif kind == 1:
            parts += [rng.randbytes(BLOCK_BYTES) for _ in range(length)]
        elif kind == 2:
            parts += [(b"%d the same words again " % rng.randrange(99) * BLOCK_BYTES)[:BLOCK_BYTES]] * length
        else:
            parts += common
    return b"".join(parts[:blocks]) + rng.randbytes(tail_bytes)
