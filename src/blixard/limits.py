"""Every numeric bound, one line of why each.

A hostile export, image or peer meets one of these before we allocate; all of them in one place means that they can be
reviewed, tested and raised by configuration, never silently.
"""

from __future__ import annotations

import msgspec

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds in force; sizes in bytes. Source: FORMAT.md section 7 where it names one."""

    state_bytes: int = 256 * MIB
    """Text of all but images and telemetry: 400,000 VMs fit, a bomb does not."""
    vms: int = 1_000_000
    """VMs in one file; beyond it the plan would not fit into memory."""
    nodes: int = 100_000
    """Nodes in one file; raft clusters stay far below."""
    telemetry_bytes: int = GIB
    """Text of the whole `telemetry` section, streamed."""
    telemetry_element_bytes: int = 4 * MIB
    """One resourceMetrics or resourceLogs element: it is held in memory."""
    depth: int = 64
    """JSON nesting; honest documents stay below 20."""
    string_bytes: int = MIB
    """A string outside records, in bytes of its JSON text; a VM's inline file may take its own bound instead."""
    element_bytes: int = 64 * MIB
    """Text of one node, VM or other value that is decoded at once: a VM with a dozen inline files fits."""
    element_values: int = 1 << 20
    """JSON values in one such element: `[{},{},...]` takes 24 times its text in memory."""
    values: int = 1 << 24
    """JSON values in the whole state, telemetry apart: 400,000 VMs of 40 values fit."""
    sections: int = 1000
    """Top-level keys: ours are 12, the rest are annotations."""
    record_text_bytes: int = 24 * MIB
    """Text of one record: 16 MiB of incompressible data in base64 and its keys."""
    number_chars: int = 64
    """Characters of a number literal; yajl and int() are quadratic or crash on long ones."""
    record_bytes: int = 16 * MIB
    """Decoded bytes of one record that a reader takes; also the largest zstd window."""
    records: int = 1 << 28
    """Records in one document; at 1 MiB each that is 256 TiB of data."""
    images: int = 1_000_000
    """Images in one document."""
    disk_bytes: int = 64 * TIB
    """Virtual size of one disk."""
    spill_bytes: int = 16 * MIB
    """A digest map or record table held in memory before it goes to an unlinked temporary file: at most two at once."""
    inline_file_bytes: int = MIB
    """A VM's file up to this size travels inside its VM, a larger one as an image."""
    space_reserve_bytes: int = 256 * MIB
    """Free space that an import leaves on the file system, so that the host goes on working."""
    qcow2_l1_bytes: int = 32 * MIB
    """QEMU's own bound on an L1 table."""
    qcow2_refcount_table_bytes: int = 8 * MIB
    """QEMU's own bound on a refcount table."""
    qcow2_snapshots: int = 65536
    """QEMU's own bound on internal snapshots."""
    qcow2_snapshot_table_bytes: int = 64 * MIB
    """QEMU's own bound on the snapshot table."""
    qcow2_chain: int = 16
    """Images in one backing chain."""
    qcow2_expansion: int = 1000
    """Guest-allocated bytes over file bytes: honest compressed images stay below."""
    name_chars: int = 63
    """Characters in a name: one DNS label."""
    ticket_chars: int = 4096
    """Text of a ticket."""


DEFAULT = Limits()

# What our writer makes; a reader does not depend on these (FORMAT.md section 3)
CELL_BYTES = MIB
"""Records never cross a cell of this size, by guest offset."""
BLOCK_BYTES = 64 * KIB
"""Aligned blocks of this size that are all zero are holes."""
ZSTD_LEVEL = 1
"""The level of record frames: measured in research/archive-performance.md."""
GZIP_LEVEL = 1
"""The level of isal's gzip around the document when nobody says: frames are compressed already."""
GZIP_LEVELS = range(4)
"""What isal knows."""
THREADS = range(1, 65)
"""Workers of one command: more than these wait for the disk."""
