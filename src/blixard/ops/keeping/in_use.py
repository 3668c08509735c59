"""Refuses to take a disk away from a process that has it open: an import and an undo would.

Found before anything is written, where a refusal costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from blixard.errors import RefusedError
from blixard.home.in_use import users_of
from blixard.plan.values import REPLACING, ContentChange
from blixard.site.open_cluster import OpenCluster


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
        if change.before is not None and change.action in REPLACING
    }
    for path, users in users_of(replaced).items():
        change, user = replaced[path], users[0]
        raise RefusedError(
            f"disk `{change.vm}/{change.key.name}` would be replaced while pid {user.pid} (`{user.command}`) uses it: "
            f"`{path}`",
            hint=f"stop that first, or add `{option}`",
        )
