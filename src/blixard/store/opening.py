"""From a cluster's directory to its store: the only place that knows which adapter a `store.toml` means."""

from __future__ import annotations

from collections.abc import Iterable

from blixard.home import ClusterDir
from blixard.home.locks import FlockLocks
from blixard.model.structs import Node
from blixard.ports import ClusterLocks, NodeBooks, StateStore


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
    cluster.store_choice()
    from blixard.store.sqlite.store import SqliteStore

    store = SqliteStore(cluster.state_db, name=cluster.name)
    return store, store.books


def locks_of(cluster: ClusterDir) -> ClusterLocks:
    """Who may work on `cluster` beside whom."""
    return FlockLocks(cluster)


def make_store(cluster: ClusterDir, *, cluster_id: str, self_node: int = 1, nodes: Iterable[Node] = ()) -> None:
    """Make the state of a new cluster at revision 0; for `Home.create(name, build=...)`, so nothing stays open.

    Raises:
        StorageError: it cannot be made.
    """
    from blixard.store.sqlite.store import SqliteStore

    SqliteStore.create(cluster.state_db, cluster_id=cluster_id, name=cluster.name, self_node=self_node, nodes=nodes)
