"""From a cluster's directory to its store: the only place that knows which adapter a `store.toml` means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from blixard.errors import UsageError
from blixard.home import ClusterDir
from blixard.home.locks import FlockLocks
from blixard.model.structs import Node

if TYPE_CHECKING:
    from blixard.ports import ClusterLocks, NodeBooks, StateStore

_REMOTE = ("etcd://", "etcds://", "http://", "https://")


def open_store(cluster: ClusterDir) -> StateStore:
    """The store that `cluster` uses.

    Raises:
        UsageError: `store.toml` names a store that this version does not have.
        UnsupportedVersion: a newer blixard made it.
        StorageError: it cannot be opened.
    """
    return open_with_books(cluster)[0]


def open_with_books(cluster: ClusterDir) -> tuple[StateStore, NodeBooks]:
    """The store that `cluster` uses, and this node's books of it; close both.

    Raises:
        as `open_store`.
    """
    _refuse_other_stores(cluster)
    from blixard.store.sqlite.store import SqliteStore

    store = SqliteStore(cluster.state_db, name=cluster.name)
    return store, store.books


def locks_of(cluster: ClusterDir) -> ClusterLocks:
    """The locks that say which commands may work on `cluster` at the same time."""
    return FlockLocks(cluster)


def make_store(cluster: ClusterDir, *, cluster_id: str, self_node: int = 1, nodes: Iterable[Node] = ()) -> None:
    """Make the state of a new cluster at revision 0; for `Home.create(name, build=...)`, so nothing stays open.

    Raises:
        StorageError: it cannot be made.
    """
    from blixard.store.sqlite.store import SqliteStore

    SqliteStore.create(cluster.state_db, cluster_id=cluster_id, name=cluster.name, self_node=self_node, nodes=nodes)


def _refuse_other_stores(cluster: ClusterDir) -> None:
    named = cluster.store_choice().store
    if named.startswith(_REMOTE):
        raise UsageError(
            f"`{cluster.store_toml}` names `{named}`: etcd is not in this version of blixard",
            hint="use `sqlite`, or a version of blixard with etcd",
        )
    if named != "sqlite":
        raise UsageError(f"`{cluster.store_toml}` names an unknown store `{named}`", hint="this version has `sqlite`")
