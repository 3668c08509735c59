"""What can be known to fail before anything is written: space, and disks that somebody uses.

A refusal here costs nothing; the same discovery after an hour of staging costs an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from blixard import files
from blixard.errors import RefusedError, StorageError
from blixard.home.in_use import users_of
from blixard.ops.context import OpenCluster
from blixard.ops.holdings import held_bytes
from blixard.ops.leftovers import forget_staged
from blixard.plan.values import ContentAction, ContentChange, ImportPlan
from blixard.ports import ImportRow

_REPLACING = (ContentAction.STAGE, ContentAction.DROP, ContentAction.RESTORE)


def check_space(plan: ImportPlan, cluster: OpenCluster, data_bytes: Mapping[int, int]) -> None:
    """Refuse what cannot fit. Without an index the sizes of data are not known; then writing is watched instead.

    Args:
        plan: names the images that will be staged.
        cluster: where they go.
        data_bytes: by image, where it is known beforehand.

    Raises:
        StorageError: naming what undo entries hold and how to drop them.
    """
    needed = sum(data_bytes.get(image, 0) for image in plan.images())
    free = files.free_bytes(cluster.directory.disks) - cluster.policy.limits.space_reserve_bytes
    staged = sum(_staged_bytes(cluster, row) for row in cluster.store.imports())  # ours counts, others' can go
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
    needed = sum(data_bytes.get(image, 0) for image in plan.images())
    rows = cluster.store.imports()
    mine = sum(_staged_bytes(cluster, row) for row in rows if row.key == own)
    for row in rows:
        free = files.free_bytes(cluster.directory.disks) - cluster.policy.limits.space_reserve_bytes
        if needed <= free + mine:
            return
        if row.key != own:
            forget_staged(cluster.directory, cluster.store, row)


def _staged_bytes(cluster: OpenCluster, row: ImportRow) -> int:
    """What an import has staged, also of disks that it had moved in before it was killed."""
    moved = () if row.done else row.files
    paths = (cluster.directory.incoming / row.key, *(cluster.directory.disks / name for name in moved))
    return sum(map(files.allocated_bytes, paths))


def check_in_use(contents: Iterable[ContentChange], cluster: OpenCluster, *, option: str) -> None:
    """Refuse to replace or drop a disk that another process has open.

    Args:
        contents: what a plan does to disks.
        cluster: whose disks they are.
        option: what goes on all the same, for the hint.

    Raises:
        RefusedError: naming disk, pid and program.
    """
    replaced = {
        cluster.directory.content_path(change.before): change
        for change in contents
        if change.before is not None and change.action in _REPLACING
    }
    for path, users in users_of(replaced).items():
        change, user = replaced[path], users[0]
        raise RefusedError(
            f"disk `{change.vm}/{change.key.name}` would be replaced while pid {user.pid} (`{user.command}`) uses it: "
            f"`{path}`",
            hint=f"stop that first, or add `{option}`",
        )
