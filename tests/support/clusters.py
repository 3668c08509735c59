"""Real clusters in a temporary directory, with a clock that stands still and a progress that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from blixard.home import ClusterDir, Home
from blixard.ops.cluster.clusters import init_cluster
from blixard.ports import Hypervisor, StateStore
from blixard.site.hypervisors import hypervisor_of
from blixard.site.open_cluster import OpenCluster
from blixard.site.who import Policy, Who
from blixard.store.history import History
from blixard.store.opening import locks_of, open_with_books
from blixard.telemetry.store import TelemetryStore

HypervisorOf = Callable[[ClusterDir, StateStore], Hypervisor]

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


class StillClock:
    """`ports.Clock` that moves only when told."""

    def __init__(self, now: datetime = NOW) -> None:
        self.moment = now

    def now(self) -> datetime:
        return self.moment

    def pass_by(self, time: timedelta) -> None:
        self.moment += time


class Watched:
    """`ports.Progress` that remembers what it was told."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.warnings: list[str] = []
        self.done = 0
        self.expected = 0

    def expect(self, total_bytes: int) -> None:
        self.expected = total_bytes

    def begin(self, task: str, total_bytes: int | None) -> None:  # noqa: ARG002 - the port's signature
        self.tasks.append(task)

    def advance(self, amount_bytes: int) -> None:
        self.done += amount_bytes

    def end(self) -> None:
        pass

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def reopen(
    home: Home,
    directory: ClusterDir,
    clock: StillClock | None = None,
    policy: Policy | None = None,
    hypervisor: HypervisorOf | None = None,
) -> OpenCluster:
    """Open a cluster as the command line does."""
    store, books = open_with_books(directory)
    return OpenCluster(
        home,
        directory,
        store,
        History(directory.history_db),
        books=books,
        locks=locks_of(directory),
        hypervisor=partial(hypervisor or hypervisor_of, directory, store),
        clock=clock or StillClock(),
        who=Who(user="tester", host="here", run="ab" * 16),
        policy=policy or Policy(),
        telemetry=lambda: TelemetryStore(directory.telemetry_db),
    )


@contextmanager
def a_cluster(
    root: Path,
    name: str = "lab",
    *,
    clock: StillClock | None = None,
    policy: Policy | None = None,
    hypervisor: HypervisorOf | None = None,
) -> Iterator[OpenCluster]:
    """A new cluster in the data directory `root`, open."""
    home = Home(root)
    init_cluster(home, name, reopen=lambda made: reopen(home, made, clock))
    with reopen(home, home.cluster(name), clock, policy, hypervisor) as opened:
        yield opened
