"""The tables that are written last: which clusters of an identity layout are in use follows from its L2 entries.

What is allocated is kept in the file itself, not in memory: 64 TiB would need a bitmap of 128 MiB, and a killed writer
would lose it. Finding it again costs a look for the stored parts of the L2 region.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from blixard.disks.qcow2.layout import BLOCK_ENTRIES, CLUSTER_BITS, CLUSTER_BYTES, L2_ENTRIES, Layout
from blixard.disks.qcow2.metadata import COPIED
from blixard.disks.source import DiskFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Piece = tuple[int, bytes]
"""Bytes to write, and where."""


def closing_pieces(source: DiskFile, layout: Layout) -> Iterator[Piece]:
    """Yield what makes a valid image of the data and L2 entries in `source`, all but its header.

    L2 tables are yielded only where an entry is not what it must be (a write that power loss tore).
    """
    tables = np.zeros(layout.l2_tables, bool)
    blocks = np.zeros(layout.blocks, bool)
    data_start = layout.data_offset >> CLUSTER_BITS
    for number in _stored_tables(source, layout):
        found = _entries(source, layout, number * L2_ENTRIES, L2_ENTRIES)
        used = found != 0
        used[max(0, layout.data_clusters - number * L2_ENTRIES) :] = False
        expected = np.where(used, _expected(layout, number), np.uint64(0))
        if not np.array_equal(found, expected):
            yield layout.l2_entry_offset(number * L2_ENTRIES), expected.astype(">u8").tobytes()
        tables[number] = used.any()
        blocks[np.unique((data_start + number * L2_ENTRIES + np.flatnonzero(used)) // BLOCK_ENTRIES)] = True
    yield layout.l1_offset, _pointers(tables, layout.l2_offset, COPIED)
    _close_over(blocks, tables, layout)
    for number in np.flatnonzero(blocks).tolist():
        counts = _refcounts(number, source, layout, tables, blocks)
        yield layout.blocks_offset + (number << CLUSTER_BITS), counts.astype(">u2").tobytes()
    yield layout.refcount_table_offset, _pointers(blocks, layout.blocks_offset, 0)


def _stored_tables(source: DiskFile, layout: Layout) -> Iterator[int]:
    """Yield the L2 tables in which the file system stores anything, ascending."""
    last = -1
    for start, end in source.data_ranges(layout.l2_offset, layout.data_offset):
        first = (start - layout.l2_offset) >> CLUSTER_BITS
        for number in range(max(first, last + 1), ((end - 1 - layout.l2_offset) >> CLUSTER_BITS) + 1):
            yield number
            last = number


def _entries(source: DiskFile, layout: Layout, first: int, count: int) -> NDArray[np.uint64]:
    """L2 entries of `count` guest clusters as the file has them; zeros after its end."""
    raw = bytearray(count * 8)
    source.read_padded(layout.l2_entry_offset(first), memoryview(raw))
    return np.frombuffer(raw, ">u8").astype(np.uint64)


def _expected(layout: Layout, table: int) -> NDArray[np.uint64]:
    clusters = np.arange(table * L2_ENTRIES, (table + 1) * L2_ENTRIES, dtype=np.uint64)
    return (clusters << np.uint64(CLUSTER_BITS)) + np.uint64(layout.data_offset) | np.uint64(COPIED)


def _pointers(used: NDArray[np.bool_], offset: int, flags: int) -> bytes:
    """A table of offsets of consecutive clusters, 0 for those not used."""
    places = np.arange(len(used), dtype=np.uint64) * np.uint64(CLUSTER_BYTES) + np.uint64(offset) | np.uint64(flags)
    return np.where(used, places, np.uint64(0)).astype(">u8").tobytes()


def _close_over(blocks: NDArray[np.bool_], tables: NDArray[np.bool_], layout: Layout) -> None:
    """Add the blocks that the metadata needs, the blocks themselves among it, until nothing is missing."""
    fixed = layout.blocks_offset >> CLUSTER_BITS
    blocks[: (fixed - 1) // BLOCK_ENTRIES + 1] = True
    blocks[np.unique(((layout.l2_offset >> CLUSTER_BITS) + np.flatnonzero(tables)) // BLOCK_ENTRIES)] = True
    known = 0
    while known != int(np.count_nonzero(blocks)):
        known = int(np.count_nonzero(blocks))
        blocks[np.unique((fixed + np.flatnonzero(blocks)) // BLOCK_ENTRIES)] = True


def _refcounts(
    number: int, source: DiskFile, layout: Layout, tables: NDArray[np.bool_], blocks: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """One refcount block: 1 for each of its clusters that is in use."""
    counts = np.zeros(BLOCK_ENTRIES, np.uint16)
    start = number * BLOCK_ENTRIES
    counts[: max(0, (layout.blocks_offset >> CLUSTER_BITS) - start)] = 1  # header, refcount table, L1
    for first, used in ((layout.blocks_offset, blocks), (layout.l2_offset, tables)):
        places = (first >> CLUSTER_BITS) + np.flatnonzero(used) - start
        counts[places[(places >= 0) & (places < BLOCK_ENTRIES)]] = 1
    data_start = layout.data_offset >> CLUSTER_BITS
    first_guest = max(0, start - data_start)
    end_guest = min(layout.data_clusters, start + BLOCK_ENTRIES - data_start)
    if first_guest < end_guest:
        at = data_start + first_guest - start
        counts[at : at + end_guest - first_guest] = _entries(source, layout, first_guest, end_guest - first_guest) != 0
    return counts
