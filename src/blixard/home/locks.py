"""The locks of a cluster on one machine: three lock files in its directory.

They are always taken in one order (export, operation, disks), so that two commands can wait for each other but never in
a circle. A lock is found by the cluster's name, which another cluster may have got meanwhile; so who holds one proves
that it is in the directory that these locks were made for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from blixard import files
from blixard.errors import NotFound, StorageError
from blixard.home.cluster import ClusterDir

if TYPE_CHECKING:
    from blixard.ports import LockHolder

_IN_ORDER = ("export", "operation", "disks")


class FlockLocks:
    """`ClusterLocks` by flock, which a kill releases; the lock file tells who holds it."""

    def __init__(self, cluster: ClusterDir) -> None:
        self._cluster = cluster
        self._identity = files.identity_of(cluster.path)

    def exporting(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """See `ClusterLocks.exporting`."""
        return self._hold(verb, wait_seconds, alone=("export",), shared=("operation", "disks"))

    def reading_disks(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """See `ClusterLocks.reading_disks`."""
        return self._hold(verb, wait_seconds, shared=("disks",))

    def editing(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """See `ClusterLocks.editing`."""
        return self._hold(verb, wait_seconds, shared=("operation",))

    def alone(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """See `ClusterLocks.alone`."""
        return self._hold(verb, wait_seconds, alone=("operation",))

    def deleting_disks(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """See `ClusterLocks.deleting_disks`."""
        return self._hold(verb, wait_seconds, alone=("disks",))

    def ending(self, verb: str, wait_seconds: float = 0) -> ExitStack:
        """See `ClusterLocks.ending`."""
        return self._hold(verb, wait_seconds, alone=_IN_ORDER)

    def holders(self) -> tuple[LockHolder, ...]:
        """See `ClusterLocks.holders`."""
        from blixard.ports import LockHolder

        found = (holder for name in sorted(_IN_ORDER) for holder in self._lock(name, "").holders())
        return tuple(dict.fromkeys(LockHolder(each.pid, each.verb) for each in found))

    def _lock(self, name: str, verb: str) -> files.FileLock:
        path = self._cluster.locks_dir / f"{name}.lock"
        return files.FileLock(path, subject=f"cluster `{self._cluster.name}`", verb=verb)

    def _hold(
        self, verb: str, wait_seconds: float, *, alone: tuple[str, ...] = (), shared: tuple[str, ...] = ()
    ) -> ExitStack:
        """All of the locks or none; the wait is for all of them together."""
        deadline = time.monotonic() + wait_seconds
        with ExitStack() as stack:
            for name in (each for each in _IN_ORDER if each in alone + shared):
                lock = self._lock(name, verb)
                acquire = lock.exclusive if name in alone else lock.shared
                with self.same_cluster():
                    stack.enter_context(acquire(max(0.0, deadline - time.monotonic())))
            return stack.pop_all()

    @contextmanager
    def same_cluster(self) -> Iterator[None]:
        """See `ClusterLocks.same_cluster`."""
        try:
            yield
        except StorageError as error:
            self._prove_same(error)
            raise
        self._prove_same()

    def _prove_same(self, found: StorageError | None = None) -> None:
        if self._identity is None or files.identity_of(self._cluster.path) != self._identity:
            raise NotFound(
                f"no cluster `{self._cluster.name}` in `{self._cluster.data_dir}` any more: it was deleted or renamed",
                hint="`blixard cluster list` shows what is there now",
            ) from found
