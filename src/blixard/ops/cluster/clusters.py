"""`cluster init|list|use|rename|delete`: clusters come, get other names and go.

What a cluster is called is the name of its directory; the state follows.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from msgspec import Struct

from blixard.errors import BlixardError
from blixard.home import ClusterDir, Home
from blixard.model.codec import check_name
from blixard.ports import StateChange
from blixard.site.open_cluster import OpenCluster
from blixard.site.signals import too_late
from blixard.site.this_node import this_node
from blixard.store.opening import locks_of, make_store, open_store


class Made(Struct, frozen=True, kw_only=True):
    """A cluster that exists now."""

    name: str
    id: str
    node_id: int
    data_dir: str
    current: bool
    """It is the current one now."""


class Listed(Struct, frozen=True, kw_only=True):
    """A cluster in a list; the counts are None when `problem` says why it cannot be read."""

    name: str
    current: bool
    id: str | None = None
    nodes: int | None = None
    vms: int | None = None
    revision: int | None = None
    problem: str | None = None


def init_cluster(home: Home, name: str, *, node_id: int = 1, reopen: Callable[[ClusterDir], OpenCluster]) -> Made:
    """Make an empty cluster whose only node is this machine. The first one becomes the current one.

    `reopen` opens it once it is made, for its history.

    Raises:
        Conflict: a cluster has that name.
        InvalidField: `name` is not a name.
        StorageError: nothing was made.
    """
    check_name(name, "cluster")
    home.sweep()
    cluster_id = str(uuid.uuid4())

    def build(directory: ClusterDir) -> None:
        make_store(directory, cluster_id=cluster_id, self_node=node_id, nodes=(this_node(home, node_id),))

    too_late()
    made = home.create(name, build)
    becomes_current = home.current() is None
    if becomes_current:
        home.set_current(name)
    with reopen(made) as opened:
        opened.note("cluster init", {"node_id": node_id})
    return Made(name=name, id=cluster_id, node_id=node_id, data_dir=str(home.root), current=becomes_current)


def list_clusters(home: Home) -> list[Listed]:
    """All clusters of this data directory; one that cannot be read is listed with why."""
    current = home.current()
    return [_listed(home, name, current=name == current) for name in home.clusters()]


def use_cluster(home: Home, name: str) -> None:
    """Make `name` the current cluster.

    Raises:
        NotFound: there is no such cluster.
    """
    home.sweep()
    home.set_current(name)


def rename_cluster(
    home: Home, old: str, new: str, *, lock_wait: float, reopen: Callable[[ClusterDir], OpenCluster]
) -> None:
    """Give a cluster another name. The directory first: its name is the truth, and the state follows.

    `reopen` opens it under its new name: SQLite must not have a file open whose directory moves.

    Raises:
        NotFound: there is no cluster `old`.
        Conflict: a cluster has the name `new`.
        Locked: somebody works on it, still after `lock_wait` seconds.
    """
    home.sweep()
    check_name(new, "cluster")
    with locks_of(home.cluster(old)).ending("cluster rename", lock_wait):
        too_late()
        renamed = home.rename(old, new)
    with reopen(renamed) as opened:
        options = {"from": old, "to": new}
        opened.edit("cluster rename", options, lambda _snapshot: StateChange(rename_cluster=new))


def delete_cluster(home: Home, name: str, lock_wait: float) -> None:
    """Delete a cluster with its disks, its history and what undo kept; disks in place are not touched.

    Raises:
        NotFound: there is no such cluster.
        Locked: somebody works on it, still after `lock_wait` seconds.
    """
    home.sweep()
    with locks_of(home.cluster(name)).ending("cluster delete", lock_wait):
        too_late()
        home.delete(name)


def _listed(home: Home, name: str, *, current: bool) -> Listed:
    try:
        with open_store(home.cluster(name)) as store:
            snapshot = store.snapshot()
    except BlixardError as error:
        return Listed(name=name, current=current, problem=error.message)
    return Listed(
        name=name,
        current=current,
        id=snapshot.id,
        nodes=len(snapshot.nodes),
        vms=len(snapshot.vms),
        revision=snapshot.revision,
    )
