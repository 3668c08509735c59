"""The header of a qcow2 image, checked once: what passes is safe to compute with.

Pure: bytes in, frozen struct out. QEMU reads some headers leniently for the sake of old images; an image that we read
may come from anybody, so what the spec calls reserved must be zero here.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

from msgspec import Struct

from blixard.disks.qcow2.extensions import Extensions, parse_extensions
from blixard.disks.qcow2.refusal import malformed
from blixard.errors import LimitExceeded
from blixard.limits import Limits

MAGIC = b"QFI\xfb"
V2_BYTES = 72
V3_BYTES = 104
MOST_BYTES = 1 << 21
"""The largest cluster, therefore the largest header with its extensions and backing name."""
_BASE = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_NAME_BYTES = 1023


class Incompatible(IntFlag):
    """Features without which an image is misread (the spec, incompatible_features)."""

    DIRTY = 1
    CORRUPT = 2
    DATA_FILE = 4
    COMPRESSION = 8
    EXTENDED_L2 = 16


class Compression(IntEnum):
    """How compressed clusters are compressed."""

    ZLIB = 0
    ZSTD = 1


class Header(Struct, frozen=True, kw_only=True):
    """What the header says; sizes and offsets in bytes."""

    version: int
    cluster_bits: int
    size_bytes: int
    l1_entries: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    snapshots: int
    snapshots_offset: int
    extended_l2: bool
    compression: Compression
    has_bitmaps: bool
    """The bitmaps extension may be trusted (autoclear bit 0)."""
    backing_name: bytes | None
    extensions: Extensions

    @property
    def cluster_bytes(self) -> int:
        """Size of a cluster."""
        return 1 << self.cluster_bits

    @property
    def l2_entry_bytes(self) -> int:
        """Size of an L2 entry; an extended one carries a bitmap of 32 subclusters."""
        return 16 if self.extended_l2 else 8

    @property
    def l2_entries(self) -> int:
        """Entries in one L2 table, which fills a cluster."""
        return self.cluster_bytes // self.l2_entry_bytes

    @property
    def l2_guest_bytes(self) -> int:
        """Guest bytes that one L2 table maps."""
        return self.l2_entries << self.cluster_bits


def parse_header(data: bytes, where: str, limits: Limits) -> Header:
    """Parse and check the beginning of an image.

    Args:
        data: the first `MOST_BYTES` of the file, or all of it when it is shorter.
        where: the path, for messages.
        limits: the bounds in force.

    Raises:
        MalformedExport: not a qcow2 image that we would read.
        LimitExceeded: the virtual size is past `limits.disk_bytes`.
    """
    if len(data) < V2_BYTES or data[:4] != MAGIC:
        raise malformed(where, "has no complete qcow2 header")
    base = _Base(*_BASE.unpack_from(data))
    _check_base(base, where, limits)
    features = _features(data, base, where)
    cluster_bytes = 1 << base.cluster_bits
    extended_l2 = bool(features.incompatible & Incompatible.EXTENDED_L2)
    if extended_l2 and base.cluster_bits < 14:
        raise malformed(where, f"has extended L2 entries with clusters of {cluster_bytes} bytes, 16384 is the least")
    backing_name = _backing_name(data, base, features.header_bytes, where)
    extensions_end = base.backing_offset or cluster_bytes
    header = Header(
        version=base.version,
        cluster_bits=base.cluster_bits,
        size_bytes=base.size // 512 * 512,  # QEMU shows the guest whole sectors only
        l1_entries=base.l1_entries,
        l1_offset=base.l1_offset,
        refcount_table_offset=base.refcount_table_offset,
        refcount_table_clusters=base.refcount_table_clusters,
        snapshots=base.snapshots,
        snapshots_offset=base.snapshots_offset,
        extended_l2=extended_l2,
        compression=features.compression,
        has_bitmaps=bool(features.autoclear & 1),
        backing_name=backing_name,
        extensions=parse_extensions(data[:extensions_end], features.header_bytes, where),
    )
    _check_tables(header, where, limits)
    return header


class _Base(Struct, frozen=True):
    """The 72 bytes that version 2 and 3 share, in order."""

    magic: bytes
    version: int
    backing_offset: int
    backing_bytes: int
    cluster_bits: int
    size: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    snapshots: int
    snapshots_offset: int


class _Features(Struct, frozen=True):
    """What version 3 adds; the defaults are version 2."""

    incompatible: Incompatible = Incompatible(0)
    autoclear: int = 0
    header_bytes: int = V2_BYTES
    compression: Compression = Compression.ZLIB


def _check_base(base: _Base, where: str, limits: Limits) -> None:
    if base.version not in {2, 3}:
        raise malformed(where, f"has version {base.version}, 2 and 3 are known")
    if not 9 <= base.cluster_bits <= 21:
        raise malformed(where, f"has cluster_bits {base.cluster_bits}, outside 9 to 21")
    if base.encryption != 0:
        raise malformed(where, f"is encrypted (method {base.encryption})", hint="decrypt it with `qemu-img convert`")
    if base.size > limits.disk_bytes:
        raise LimitExceeded(
            f"qcow2 image `{where}` has a virtual size of {base.size} bytes, `limits.disk_bytes` is {limits.disk_bytes}"
        )


def _features(data: bytes, base: _Base, where: str) -> _Features:
    """Parse and check what only version 3 has."""
    if base.version == 2:
        return _Features()
    if len(data) < V3_BYTES:
        raise malformed(where, "ends inside its header")
    incompatible, _compatible, autoclear, refcount_order, header_bytes = _V3.unpack_from(data, V2_BYTES)
    unknown = incompatible & ~sum(Incompatible)
    if unknown:
        raise malformed(where, f"needs features that are not known (incompatible bits {unknown:#x})")
    bits = Incompatible(incompatible)
    if bits & Incompatible.CORRUPT:
        raise malformed(where, "is marked corrupt", hint="repair a copy of it with `qemu-img check -r all`")
    if bits & Incompatible.DATA_FILE:
        raise malformed(where, "keeps its data in another file", hint="copy it with `qemu-img convert` first")
    if refcount_order > 6:
        raise malformed(where, f"has refcount_order {refcount_order}, 6 is the most")
    if not V3_BYTES <= header_bytes <= min(1 << base.cluster_bits, len(data)) or header_bytes % 8:
        raise malformed(where, f"has a header_length of {header_bytes}")
    number = data[V3_BYTES] if header_bytes > V3_BYTES else 0
    if number not in set(Compression):
        raise malformed(where, f"has compression type {number}, 0 (zlib) and 1 (zstd) are known")
    if (number != Compression.ZLIB) != bool(bits & Incompatible.COMPRESSION):
        raise malformed(where, f"has compression type {number}, and its feature bit says otherwise")
    return _Features(bits, autoclear, header_bytes, Compression(number))


def _backing_name(data: bytes, base: _Base, header_bytes: int, where: str) -> bytes | None:
    """Cut out the backing file's name, unchecked but for its place; None when there is none."""
    if base.backing_offset == 0:
        return None
    end = base.backing_offset + base.backing_bytes
    if base.backing_bytes > _NAME_BYTES:
        raise malformed(where, f"has a backing file name of {base.backing_bytes} bytes, {_NAME_BYTES} is the most")
    if base.backing_offset < header_bytes or end > min(1 << base.cluster_bits, len(data)):
        raise malformed(where, f"has its backing file name at {base.backing_offset}, outside the header's cluster")
    return data[base.backing_offset : end] or None


def _check_tables(header: Header, where: str, limits: Limits) -> None:
    """Check sizes and alignment of L1 and refcount table; that they lie inside the file is checked on reading."""
    if header.l1_entries * 8 > limits.qcow2_l1_bytes:
        raise malformed(where, f"has an L1 table of {header.l1_entries * 8} bytes, {limits.qcow2_l1_bytes} is the most")
    if header.l1_entries * header.l2_guest_bytes < header.size_bytes:
        raise malformed(where, f"has an L1 table of {header.l1_entries} entries, too few for its size")
    if header.refcount_table_clusters == 0:
        raise malformed(where, "has no refcount table")
    table_bytes = header.refcount_table_clusters << header.cluster_bits
    if table_bytes > limits.qcow2_refcount_table_bytes:
        raise malformed(
            where, f"has a refcount table of {table_bytes} bytes, {limits.qcow2_refcount_table_bytes} is the most"
        )
    if header.snapshots > limits.qcow2_snapshots:
        raise malformed(where, f"has {header.snapshots} snapshots, {limits.qcow2_snapshots} is the most")
    for name, offset in (
        ("L1 table", header.l1_offset),
        ("refcount table", header.refcount_table_offset),
        ("snapshot table", header.snapshots_offset),
    ):
        if offset % header.cluster_bytes:
            raise malformed(where, f"has its {name} at {offset}, not at a cluster's beginning")
