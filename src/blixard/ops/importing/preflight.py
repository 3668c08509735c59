"""What can be known to fail before anything is written: no space, disks that somebody has open.

A refusal here costs nothing; the same discovery after an hour of staging costs an hour.
"""

from __future__ import annotations

from collections.abc import Mapping

from blixard import files
from blixard.errors import StorageError
from blixard.ops.importing.request import ImportRequest
from blixard.ops.keeping.held_bytes import held_bytes
from blixard.ops.keeping.in_use import check_in_use
from blixard.ops.keeping.leftovers import forget_staged
from blixard.plan.values import ImportPlan
from blixard.ports import ImportRow
from blixard.site.open_cluster import OpenCluster


def look_ahead(plan: ImportPlan, cluster: OpenCluster, request: ImportRequest, data_bytes: Mapping[int, int]) -> None:
    """Refuse what cannot fit, and to replace a disk that is in use.

    Args:
        plan: names the images that will be staged.
        cluster: where they go.
        request: whether a disk in use stops it.
        data_bytes: by image, where it is known beforehand; elsewhere writing is watched instead.

    Raises:
        StorageError: naming what undo entries hold and how to drop them.
        RefusedError: naming who uses a disk.
    """
    _check_space(plan, cluster, data_bytes)
    if not request.force_in_use:
        check_in_use(plan.contents, cluster, option="--force-in-use")


def _check_space(plan: ImportPlan, cluster: OpenCluster, data_bytes: Mapping[int, int]) -> None:
    needed, free = _needed_bytes(plan, data_bytes), _usable_bytes(cluster)
    staged = sum(_staged_bytes(cluster, row) for row in cluster.books.imports())  # ours counts, others' can go
    if needed <= free + staged:
        return
    held = held_bytes(cluster.store.undo_entries(), cluster.snapshot(), cluster.directory)
    hint = "make room, or take less with `--only`"
    if held:
        hint = f"undo entries hold {held} bytes: `blixard cluster undo list`, then `undo drop ID`; or {hint}"
    raise StorageError(
        f"not enough space in `{cluster.directory.disks}`: {needed} bytes of disks come in, {max(0, free)} may be used",
        hint=hint,
    )


def make_room(plan: ImportPlan, cluster: OpenCluster, data_bytes: Mapping[int, int]) -> None:
    """Give up what imports of other documents have staged, when this one needs the space. The caller is alone.

    Raises:
        StorageError: it cannot be removed.
    """
    own = plan.source.document
    needed = _needed_bytes(plan, data_bytes)
    rows = cluster.books.imports()
    mine = sum(_staged_bytes(cluster, row) for row in rows if row.key == own)
    for row in rows:
        if needed <= _usable_bytes(cluster) + mine:
            return
        if row.key != own:
            forget_staged(cluster, row)


def _needed_bytes(plan: ImportPlan, data_bytes: Mapping[int, int]) -> int:
    return sum(data_bytes.get(image, 0) for image in plan.images())


def _usable_bytes(cluster: OpenCluster) -> int:
    """What may be written beside the reserve; negative when the reserve is touched already."""
    return files.free_bytes(cluster.directory.disks) - cluster.policy.limits.space_reserve_bytes


def _staged_bytes(cluster: OpenCluster, row: ImportRow) -> int:
    """What an import has staged, also of disks that it had moved in before it was killed."""
    moved = () if row.done else row.files
    paths = (cluster.directory.incoming / row.key, *(cluster.directory.disks / name for name in moved))
    return sum(map(files.allocated_bytes, paths))
