"""Where our own qcow2 images keep things: every place follows from the virtual size alone.

Guest cluster i lies at `data_offset + i * 64 KiB`, its L2 entry and its refcount at fixed places before; the file is
sparse, so what is not used costs nothing. Writes then need no allocator, no lock and no order, and a killed writer left
nothing to repair. Pure.
"""

from __future__ import annotations

import struct

from msgspec import Struct

from blixard.disks.qcow2.header import MAGIC
from blixard.disks.qcow2.metadata import COPIED

CLUSTER_BITS = 16
CLUSTER_BYTES = 1 << CLUSTER_BITS
L2_ENTRIES = CLUSTER_BYTES // 8
BLOCK_ENTRIES = CLUSTER_BYTES // 2
"""Refcounts of 16 bits in one block: 2 GiB of the file."""
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQIIQ")
_HEADER_BYTES = 112


class Layout(Struct, frozen=True, kw_only=True):
    """Offsets in bytes, all at a cluster's beginning; in file order."""

    size_bytes: int
    data_clusters: int
    refcount_table_offset: int
    l1_offset: int
    blocks_offset: int
    l2_offset: int
    data_offset: int

    @property
    def l2_tables(self) -> int:
        """L2 tables, and therefore L1 entries, that the size needs."""
        return _ceil(self.data_clusters, L2_ENTRIES)

    @property
    def blocks(self) -> int:
        """Refcount blocks that cover the whole file."""
        return (self.l2_offset - self.blocks_offset) >> CLUSTER_BITS

    @property
    def refcount_table_clusters(self) -> int:
        """Size of the refcount table."""
        return (self.l1_offset - self.refcount_table_offset) >> CLUSTER_BITS

    def l2_entries(self, first: int, end: int) -> bytes:
        """L2 entries of guest clusters `first` to `end`, all allocated."""
        start = self.data_offset + (first << CLUSTER_BITS) | COPIED
        return struct.pack(f">{end - first}Q", *range(start, start + ((end - first) << CLUSTER_BITS), CLUSTER_BYTES))

    def l2_entry_offset(self, cluster: int) -> int:
        """Where the L2 entry of a guest cluster lies: the tables follow each other without gaps."""
        return self.l2_offset + cluster * 8

    def header(self) -> bytes:
        """Make the header; it needs nothing but the layout."""
        return _HEADER.pack(
            MAGIC,
            3,
            0,  # no backing file
            0,
            CLUSTER_BITS,
            self.size_bytes,
            0,  # not encrypted
            self.l2_tables,
            self.l1_offset,
            self.refcount_table_offset,
            self.refcount_table_clusters,
            0,  # no snapshots
            0,
            0,  # no incompatible features
            0,  # no compatible ones
            0,  # and no autoclear ones
            4,  # refcounts of 16 bits
            _HEADER_BYTES,
            0,  # compression type zlib, padding
        )


def plan_layout(size_bytes: int) -> Layout:
    """Compute the layout for a virtual size, a multiple of 512."""
    data_clusters = _ceil(size_bytes, CLUSTER_BYTES)
    tables = _ceil(data_clusters, L2_ENTRIES)
    l1_clusters = _ceil(tables * 8, CLUSTER_BYTES)
    blocks = table_clusters = 1
    while True:  # blocks cover themselves too
        total = 1 + table_clusters + l1_clusters + blocks + tables + data_clusters
        needed = _ceil(total, BLOCK_ENTRIES)
        if needed <= blocks:
            break
        blocks, table_clusters = needed, _ceil(needed * 8, CLUSTER_BYTES)
    l1 = 1 + table_clusters
    l2 = l1 + l1_clusters + blocks
    return Layout(
        size_bytes=size_bytes,
        data_clusters=data_clusters,
        refcount_table_offset=CLUSTER_BYTES,
        l1_offset=l1 << CLUSTER_BITS,
        blocks_offset=(l1 + l1_clusters) << CLUSTER_BITS,
        l2_offset=l2 << CLUSTER_BITS,
        data_offset=(l2 + tables) << CLUSTER_BITS,
    )


def _ceil(amount: int, unit: int) -> int:
    return -(-amount // unit)
