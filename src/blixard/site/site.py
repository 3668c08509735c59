"""A data directory with the settings in force: the only place that knows which adapter stands behind which port.

The command line and the Python API both work through it, so a cluster behaves alike however it is reached.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from blixard.errors import NotFound
from blixard.home import ClusterDir, Home
from blixard.limits import THREADS
from blixard.model.codec import check_name
from blixard.plan.retention import TelemetryPolicy, UndoPolicy
from blixard.site.config import Config
from blixard.site.open_cluster import OpenCluster
from blixard.site.quantities import within
from blixard.site.who import Policy, SystemClock, Who
from blixard.store.history import History
from blixard.store.opening import locks_of, open_with_books

if TYPE_CHECKING:
    from blixard.ports import Hypervisor, StateStore, TelemetrySource
    from blixard.telemetry.store import TelemetryStore


class Site:
    """One data directory, as one run uses it.

    Args:
        config: the settings in force.
        run_id: names the run in logs and history; None makes one up.
        lock_wait: seconds to wait for a lock.
    """

    def __init__(self, config: Config, *, run_id: str | None = None, lock_wait: float = 0.0) -> None:
        self.config = config
        self._run_id = run_id
        self._lock_wait = lock_wait

    @cached_property
    def home(self) -> Home:
        """The data directory; nothing is made by asking."""
        return Home(self.config.data_dir)

    def cluster_name(self, named: str | None) -> str:
        """The cluster that was named, else the current one, else the only one.

        Raises:
            NotFound: none of them.
        """
        name = named or self.home.current()
        if name is not None:
            return name
        there = self.home.clusters()
        if len(there) == 1:
            return there[0]
        if there:
            listed = ", ".join(f"`{each}`" for each in there[:8])
            raise NotFound(
                f"no cluster was named, and none in `{self.home.root}` is the current one",
                hint=f"`-c NAME`, or `blixard cluster use NAME`: there is {listed}",
            )
        raise NotFound(
            f"there is no cluster in `{self.home.root}`",
            hint="`blixard cluster init NAME` makes one; another data directory is chosen with `--data-dir`",
        )

    def open(self, directory: ClusterDir) -> OpenCluster:
        """Open a cluster whose directory is known.

        Raises:
            NotFound: it was deleted or renamed meanwhile.
            StorageError, UnsupportedVersion, UsageError: it cannot be opened.
        """
        locks = locks_of(directory)
        with ExitStack() as unfit:
            with locks.same_cluster():
                store, books = open_with_books(directory)
                unfit.callback(books.close)
                unfit.enter_context(store)
                history = unfit.enter_context(History(directory.history_db))
            unfit.pop_all()
        return OpenCluster(
            self.home,
            directory,
            store,
            history,
            books=books,
            locks=locks,
            hypervisor=partial(self._hypervisor, directory, store),
            clock=SystemClock(),
            who=Who.here(self._run_id),
            policy=self.policy,
            telemetry=partial(self.telemetry_store, directory),
        )

    def _hypervisor(self, directory: ClusterDir, store: StateStore) -> Hypervisor:
        from blixard.site.hypervisors import hypervisor_of

        return hypervisor_of(directory, store)

    def open_named(self, named: str | None) -> OpenCluster:
        """Open the cluster that was named, else the current one, else the only one.

        Raises:
            NotFound: there is none; the error names the data directory.
        """
        return self.open(self.home.cluster(self.cluster_name(named)))

    @property
    def policy(self) -> Policy:
        """The settings that bound the work on a cluster."""
        undo = UndoPolicy(
            keep=self.config.get("undo.keep", int),
            max_age=self.config.get("undo.max_age", timedelta),
            max_bytes=self.config.optional("undo.max_bytes", int),
        )
        return Policy(limits=self.config.limits, undo=undo, lock_wait=self._lock_wait)

    def threads(self, given: int | None) -> int:
        """Workers: as given, else the setting, else one for each core.

        Raises:
            UsageError: not so many can be.
        """
        if given is not None:
            return within(given, THREADS, "`threads`")
        return self.config.optional("export.threads", int) or min(os.cpu_count() or 1, THREADS[-1])

    def telemetry_store(self, directory: ClusterDir) -> TelemetryStore:
        """The telemetry of a cluster on this node."""
        from blixard.telemetry.store import TelemetryStore

        policy = TelemetryPolicy(
            max_age=self.config.get("telemetry.max_age", timedelta),
            max_bytes=self.config.get("telemetry.max_bytes", int),
        )
        return TelemetryStore(directory.telemetry_db, policy)

    @contextmanager
    def telemetry_source(self, opened: OpenCluster) -> Iterator[TelemetrySource]:
        """What this node can tell about itself, for an export."""
        from blixard.telemetry.source import NodeTelemetry, about_this_host

        snapshot = opened.snapshot()
        about = about_this_host(snapshot.id, snapshot.name, snapshot.self_node)
        with self.telemetry_store(opened.directory) as store:
            yield NodeTelemetry(store, opened.clock, about, opened.policy.limits)


def named_cluster(given: str | None) -> str | None:
    """The cluster that was named, by the caller or by BLIXARD_CLUSTER; None means the current one.

    Raises:
        InvalidField: that is no name.
    """
    name = given or os.environ.get("BLIXARD_CLUSTER") or None
    return None if name is None else check_name(name, "cluster")


def networks_here() -> tuple[str, ...]:
    """Network interfaces of this machine, sorted; none where it does not tell."""
    try:
        return tuple(sorted(os.listdir("/sys/class/net")))  # noqa: PTH208 - names, not paths
    except OSError:
        return ()
