"""What undo entries cost: bytes of the files that only they still name.

A file that two entries name is freed by neither alone; it counts for the older one, the last to let go of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from blixard import files
from blixard.home import ClusterDir
from blixard.model.structs import ClusterSnapshot

if TYPE_CHECKING:
    from blixard.ports import UndoSummary


def with_held_bytes(
    entries: Iterable[UndoSummary], snapshot: ClusterSnapshot, cluster: ClusterDir
) -> tuple[UndoSummary, ...]:
    """The entries (newest first) with `held_bytes` filled in, given the state that is live."""
    named = {content.file for content in snapshot.contents.values() if content.file}
    filled = []
    for entry in reversed(tuple(entries)):
        held = set(entry.files) - named
        named |= held
        filled.append(structs.replace(entry, held_bytes=sum(_allocated(cluster, name) for name in held)))
    return tuple(reversed(filled))


def held_bytes(entries: Iterable[UndoSummary], snapshot: ClusterSnapshot, cluster: ClusterDir) -> int:
    """Bytes of the files that only undo entries name, given the state that is live."""
    return sum(entry.held_bytes for entry in with_held_bytes(entries, snapshot, cluster))


def _allocated(cluster: ClusterDir, name: str) -> int:
    """A file that undo keeps lies in `disks/` still, or under `undo/`."""
    found: Path = cluster.disks / name
    return files.allocated_bytes(found) or files.allocated_bytes(cluster.undo / name)
