"""What is read when an image is opened: L1 table, refcount table and snapshot table, and the proof that none overlaps.

At most 32 MiB of L1 and 8 MiB of refcount table; the L2 tables, which hold the bulk, are read when they are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from blixard.disks.qcow2.header import MOST_BYTES, Header, parse_header
from blixard.disks.qcow2.refusal import malformed
from blixard.disks.qcow2.regions import Region, Regions
from blixard.disks.qcow2.snapshots import Snapshot, read_snapshots
from blixard.disks.source import DiskFile
from blixard.limits import Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFSET_MASK = 0x00FF_FFFF_FFFF_FE00
"""Bits 9 to 55 of an L1 or L2 entry: a host offset."""
COPIED = 1 << 63
"""Bit 63: the refcount is exactly one. Says nothing to a reader."""


class _Table(Struct, frozen=True):
    """A table of 64-bit entries whose bits outside `allowed` must be zero."""

    name: str
    offset: int
    length: int
    allowed: int

    def region(self) -> Region:
        """The bytes of the file that it takes."""
        return Region(self.name, self.offset, self.length)


class Metadata(Struct, frozen=True, kw_only=True):
    """A checked image: its header, L2 table offsets by L1 index (0: none), snapshots and regions."""

    header: Header
    l2_offsets: NDArray[np.int64]
    snapshots: tuple[Snapshot, ...]
    regions: Regions


def read_header(source: DiskFile, limits: Limits) -> Header:
    """Read and check the header alone.

    Raises:
        MalformedExport: not an image that we would read.
        LimitExceeded: the virtual size is past `limits.disk_bytes`.
    """
    data = source.read(0, min(MOST_BYTES, source.size_bytes))
    return parse_header(data, str(source.path), limits)


def read_metadata(source: DiskFile, header: Header, limits: Limits) -> Metadata:
    """Read and check all tables but L2.

    Raises:
        MalformedExport: a table lies outside the file, overlaps another, or has reserved bits set.
    """
    cluster = header.cluster_bytes
    l1 = _Table("L1 table", header.l1_offset, header.l1_entries * 8, COPIED | OFFSET_MASK)
    refcounts_bytes = header.refcount_table_clusters * cluster
    refcounts = _Table("refcount table", header.refcount_table_offset, refcounts_bytes, OFFSET_MASK)
    l2_offsets, blocks = _read_offsets(source, cluster, l1), _read_offsets(source, cluster, refcounts)
    snapshots = read_snapshots(source, header, limits)
    regions = [
        Region("header", 0, 1),
        l1.region(),
        refcounts.region(),
        Region("refcount block", blocks[blocks != 0], cluster),
        Region("L2 table", l2_offsets[l2_offsets != 0], cluster),
        *_snapshot_regions(header, snapshots),
    ]
    bitmaps = header.extensions.bitmaps
    if bitmaps is not None and header.has_bitmaps:
        regions.append(Region("bitmap directory", bitmaps.directory_offset, bitmaps.directory_bytes))
    stored = [region for region in regions if region.length]
    return Metadata(
        header=header,
        l2_offsets=l2_offsets,
        snapshots=snapshots,
        regions=Regions(stored, cluster, source.size_bytes, str(source.path)),
    )


def _read_offsets(source: DiskFile, cluster_bytes: int, table: _Table) -> NDArray[np.int64]:
    """Read a table and return the host offsets in it, 0 for none."""
    where = str(source.path)
    if table.offset + table.length > source.size_bytes:
        raise malformed(where, f"has its {table.name} at {table.offset}, beyond its end at {source.size_bytes}")
    words = np.frombuffer(source.read(table.offset, table.length), ">u8").astype(np.uint64)
    bad = np.flatnonzero(words & np.uint64(table.allowed ^ 0xFFFF_FFFF_FFFF_FFFF))
    if bad.size:
        raise malformed(where, f"has reserved bits set in entry {int(bad[0])} of its {table.name}")
    offsets = (words & np.uint64(OFFSET_MASK)).astype(np.int64)
    bad = np.flatnonzero(offsets % cluster_bytes)
    if bad.size:
        raise malformed(where, f"has entry {int(bad[0])} of its {table.name} not at a cluster's beginning")
    return offsets


def _snapshot_regions(header: Header, snapshots: tuple[Snapshot, ...]) -> list[Region]:
    """The snapshot table and the L1 table of each snapshot; their L2 tables may be shared with ours."""
    if not snapshots:
        return []
    table = Region("snapshot table", header.snapshots_offset, snapshots[-1].end - header.snapshots_offset)
    return [table, *(Region("snapshot L1 table", each.l1_offset, each.l1_entries * 8) for each in snapshots)]
