"""The table of internal snapshots: how many there are, what they are called, and which bytes of the file they own.

An export holds what the guest sees now; the snapshots are counted so that it can say what it left out.
"""

from __future__ import annotations

import struct

from msgspec import Struct

from blixard.disks.qcow2.header import Header
from blixard.disks.qcow2.refusal import malformed
from blixard.disks.source import DiskFile
from blixard.limits import Limits

_ENTRY = struct.Struct(">QIHHIIQII")
_MOST_EXTRA = 1024
"""QEMU's own bound on the extra data of one snapshot."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """One internal snapshot; the offset and entries of its L1 table, and where its table entry ends."""

    id: str
    name: str
    l1_offset: int
    l1_entries: int
    end: int


def read_snapshots(source: DiskFile, header: Header, limits: Limits) -> tuple[Snapshot, ...]:
    """Read the snapshot table.

    Raises:
        MalformedExport: an entry breaks the format, or the table runs out of the file or over its limit.
    """
    found: list[Snapshot] = []
    where = str(source.path)
    at = header.snapshots_offset
    last = min(source.size_bytes, at + limits.qcow2_snapshot_table_bytes)
    for index in range(header.snapshots):
        if at + _ENTRY.size > last:
            raise malformed(where, f"has a snapshot table that ends inside entry {index}")
        l1_offset, l1_entries, id_bytes, name_bytes, *_, extra_bytes = _ENTRY.unpack(source.read(at, _ENTRY.size))
        text_at = at + _ENTRY.size + extra_bytes
        end = text_at + id_bytes + name_bytes
        if extra_bytes > _MOST_EXTRA or end > last:
            raise malformed(where, f"has a snapshot table that ends inside entry {index}")
        if l1_offset % header.cluster_bytes or l1_entries * 8 > limits.qcow2_l1_bytes:
            raise malformed(where, f"has snapshot {index} with {l1_entries} L1 entries at {l1_offset}")
        text = source.read(text_at, id_bytes + name_bytes)
        found.append(
            Snapshot(
                id=_decoded(text[:id_bytes]),
                name=_decoded(text[id_bytes:]),
                l1_offset=l1_offset,
                l1_entries=l1_entries,
                end=end,
            )
        )
        at = (end + 7) // 8 * 8
    return tuple(found)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
