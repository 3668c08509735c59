"""Small qcow2 images made by hand: a valid one, of which a test changes exactly one thing.

File, in clusters of 4 KiB: 0 header, 1 refcount table, 2 refcount block, 3 L1, 4 L2, 5 to 7 guest clusters 0 to 2.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Self

CLUSTER = 4096
HEADER, REFCOUNT_TABLE, REFCOUNT_BLOCK, L1, L2, DATA = (n * CLUSTER for n in range(6))
END = 8 * CLUSTER
COPIED = 1 << 63
PACKED = 1 << 62
GUEST_SIZE = 16 * CLUSTER

FIELDS: dict[str, tuple[int, str]] = {
    "magic": (0, ">4s"),
    "version": (4, ">I"),
    "backing_offset": (8, ">Q"),
    "backing_bytes": (16, ">I"),
    "cluster_bits": (20, ">I"),
    "size": (24, ">Q"),
    "encryption": (32, ">I"),
    "l1_entries": (36, ">I"),
    "l1_offset": (40, ">Q"),
    "refcount_table_offset": (48, ">Q"),
    "refcount_table_clusters": (56, ">I"),
    "snapshots": (60, ">I"),
    "snapshots_offset": (64, ">Q"),
    "incompatible": (72, ">Q"),
    "compatible": (80, ">Q"),
    "autoclear": (88, ">Q"),
    "refcount_order": (96, ">I"),
    "header_length": (100, ">I"),
    "compression": (104, ">B"),
}


class ImageBuilder:
    """A valid image, then changes by chained calls; `bytes` or `save` at the end."""

    def __init__(self) -> None:
        self._data = bytearray(END)
        self.fields(
            magic=b"QFI\xfb",
            version=3,
            cluster_bits=12,
            size=GUEST_SIZE,
            l1_entries=1,
            l1_offset=L1,
            refcount_table_offset=REFCOUNT_TABLE,
            refcount_table_clusters=1,
            refcount_order=4,
            header_length=112,
        )
        self.word(REFCOUNT_TABLE, REFCOUNT_BLOCK)
        self.put(REFCOUNT_BLOCK, struct.pack(">8H", *[1] * 8))
        self.word(L1, L2 | COPIED)
        for n in range(3):
            self.entry(n, (DATA + n * CLUSTER) | COPIED)
            self.put(DATA + n * CLUSTER, bytes([0x41 + n]) * CLUSTER)

    def fields(self, **values: int | bytes) -> Self:
        """Set header fields by name."""
        for name, value in values.items():
            offset, code = FIELDS[name]
            struct.pack_into(code, self._data, offset, value)
        return self

    def put(self, offset: int, data: bytes) -> Self:
        """Put bytes anywhere; the file grows."""
        if offset + len(data) > len(self._data):
            self._data.extend(bytes(offset + len(data) - len(self._data)))
        self._data[offset : offset + len(data)] = data
        return self

    def word(self, offset: int, value: int) -> Self:
        """Put a 64-bit big-endian number."""
        return self.put(offset, struct.pack(">Q", value))

    def entry(self, guest_cluster: int, value: int) -> Self:
        """Set an L2 entry."""
        return self.word(L2 + guest_cluster * 8, value)

    def extended(self, value: int, bitmap: int) -> Self:
        """Make it an image with extended L2 entries and clusters of 16 KiB, the first entry as given."""
        scaled = ImageBuilder.__new__(ImageBuilder)
        scaled._data = bytearray(END * 4)
        for n in range(8):
            scaled.put(n * 4 * CLUSTER, bytes(self._data[n * CLUSTER : n * CLUSTER + CLUSTER]))
        scaled.fields(
            cluster_bits=14,
            incompatible=16,
            size=4 * GUEST_SIZE,
            l1_offset=4 * L1,
            refcount_table_offset=4 * REFCOUNT_TABLE,
        )
        scaled.word(4 * REFCOUNT_TABLE, 4 * REFCOUNT_BLOCK).word(4 * L1, 4 * L2 | COPIED)
        scaled.put(4 * L2, struct.pack(">QQ", value, bitmap) + bytes(CLUSTER - 16))
        self._data = scaled._data
        return self

    def extension(self, kind: int, data: bytes, *, length: int | None = None, at: int = 112) -> Self:
        """Put a header extension; `length` to lie about it."""
        return self.put(at, struct.pack(">II", kind, len(data) if length is None else length) + data)

    def backing(self, name: bytes, image_format: bytes | None = b"raw") -> Self:
        """Name a backing file, and its format."""
        if image_format is not None:
            self.extension(0xE2792ACA, image_format)
        self.put(1024, name)
        return self.fields(backing_offset=1024, backing_bytes=len(name))

    def packed(self, stream: bytes, *, guest_cluster: int = 0, at: int = DATA, zstd: bool = False) -> Self:
        """Make a guest cluster compressed: `stream` at file offset `at`."""
        self.put(at, stream)
        if zstd:
            self.fields(incompatible=8, compression=1)
        return self.descriptor(guest_cluster, at, (at + len(stream) - 1) // 512 - at // 512)

    def descriptor(self, guest_cluster: int, at: int, more_sectors: int) -> Self:
        """Set a compressed cluster descriptor, for clusters of 4 KiB."""
        return self.entry(guest_cluster, PACKED | more_sectors << 58 | at)

    def cut(self, length: int) -> Self:
        """End the file after `length` bytes."""
        del self._data[length:]
        return self

    def bytes(self) -> bytes:
        """The file's content."""
        return bytes(self._data)

    def save(self, path: Path) -> Path:
        """Write the file."""
        path.write_bytes(self._data)
        return path
