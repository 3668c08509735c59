"""Which digests were seen, in packed rows: 35 bytes a row where a dict of bytes needs 150.

Past a bound the rows go to a temporary file without a name (`spill`).
"""

from __future__ import annotations

from pathlib import Path

from blixard.closing import Closing
from blixard.disks.records.spill import Spill
from blixard.limits import DEFAULT

_DIGEST = 32
_FIRST_SLOTS = 1024
_SWEEP_BYTES = 1 << 20


class DigestTable(Closing):
    """Digest (32 bytes) to a value of fixed width: open addressing with linear probing, at most 2/3 full.

    Slots come from Python's keyed hash of the digest, so that a document cannot choose digests that collide. For one
    thread at a time. Once it lies in a file, every method may raise StorageError: no space, or an I/O error.

    Args:
        value_bytes: width of every value, in bytes; 0 for a set of digests.
        spill_bytes: what may be held in memory; a larger table lies in a file.
        folder: where that file is made; None is the system's temporary folder.
    """

    def __init__(
        self, value_bytes: int = 0, *, spill_bytes: int = DEFAULT.spill_bytes, folder: Path | None = None
    ) -> None:
        self._row = 1 + _DIGEST + value_bytes
        self._spill_bytes = spill_bytes
        self._folder = folder
        self._slots = _FIRST_SLOTS
        self._used = 0
        self._rows: _Memory | Spill = self._storage(self._slots)

    def __len__(self) -> int:
        return self._used

    @property
    def spilled(self) -> bool:
        """True once the rows lie in a file."""
        return isinstance(self._rows, Spill)

    def get(self, digest: bytes) -> bytes | None:
        """The value of `digest`, or None."""
        _, row = self._find(digest)
        return row[1 + _DIGEST :] if row[0] else None

    def put(self, digest: bytes, value: bytes) -> None:
        """Set the value of `digest`."""
        slot, row = self._find(digest)
        self._store(slot, b"\1" + digest + value, new=not row[0])

    def set_default(self, digest: bytes, value: bytes) -> bytes | None:
        """The value that `digest` has already, or None after setting it to `value`."""
        slot, row = self._find(digest)
        if row[0]:
            return row[1 + _DIGEST :]
        self._store(slot, b"\1" + digest + value, new=True)
        return None

    def add(self, digest: bytes) -> bool:
        """True when `digest` is new to a table without values, which has it from now on."""
        return self.set_default(digest, b"") is None

    def close(self) -> None:
        """Release memory and file."""
        self._rows.close()

    def _find(self, digest: bytes) -> tuple[int, bytes]:
        """The slot where `digest` is or would go, and the row that is there."""
        key = b"\1" + digest
        mask = self._slots - 1
        slot = hash(digest) & mask
        while True:
            row = self._rows.read(slot * self._row, self._row)
            if not row[0] or row.startswith(key):
                return slot, row
            slot = (slot + 1) & mask

    def _store(self, slot: int, row: bytes, *, new: bool) -> None:
        self._rows.write(slot * self._row, row)
        self._used += new
        if self._used * 3 > self._slots * 2:
            self._grow()

    def _grow(self) -> None:
        old, old_bytes = self._rows, self._slots * self._row
        self._slots *= 2
        self._rows = self._storage(self._slots)
        step = _SWEEP_BYTES // self._row * self._row
        for start in range(0, old_bytes, step):
            part = old.read(start, min(step, old_bytes - start))
            for at in range(0, len(part), self._row):
                if part[at]:
                    row = part[at : at + self._row]
                    slot, _ = self._find(row[1 : 1 + _DIGEST])
                    self._rows.write(slot * self._row, row)
        old.close()

    def _storage(self, slots: int) -> _Memory | Spill:
        size = slots * self._row
        return _Memory(size) if size <= self._spill_bytes else Spill(size, self._folder)


class _Memory:
    """Bytes in memory, zero at first."""

    def __init__(self, size: int) -> None:
        self._bytes = bytearray(size)

    def read(self, at: int, length: int) -> bytes:
        return bytes(self._bytes[at : at + length])

    def write(self, at: int, row: bytes) -> None:
        self._bytes[at : at + len(row)] = row

    def close(self) -> None:
        self._bytes = bytearray()
