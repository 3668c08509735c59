"""The composition root: the only place that knows which adapter stands behind which port."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from blixard.cli.session import Session
from blixard.errors import NotFound, UsageError
from blixard.home import ClusterDir, Home
from blixard.ops.context import OpenCluster, Policy, SystemClock, Who
from blixard.ops.retention import UndoPolicy
from blixard.store.history import History
from blixard.store.opening import open_store

if TYPE_CHECKING:
    from blixard.cli.progress import Meter
    from blixard.ports import TelemetrySource
    from blixard.telemetry.store import TelemetryStore


def open_home(session: Session) -> Home:
    """The data directory that was chosen."""
    return Home(session.config.data_dir)


def cluster_name(session: Session, home: Home) -> str:
    """`-c`, else BLIXARD_CLUSTER, else the current cluster, else the only one.

    Raises:
        NotFound: none of them.
    """
    name = session.named_cluster or home.current()
    if name is not None:
        return name
    there = home.clusters()
    if len(there) == 1:
        return there[0]
    if there:
        raise NotFound(
            f"no cluster was named, and none in `{home.root}` is the current one",
            hint=f"`-c NAME`, or `blixard cluster use NAME`: there is {', '.join(f'`{each}`' for each in there[:8])}",
        )
    raise NotFound(
        f"there is no cluster in `{home.root}`",
        hint="`blixard cluster init NAME` makes one; another data directory is chosen with `--data-dir`",
    )


@contextmanager
def open_cluster(session: Session) -> Iterator[OpenCluster]:
    """The cluster that a command works on.

    Raises:
        NotFound: there is none of that name; the error names the data directory.
        UsageError: `--node-id` names another node than this data directory is.
    """
    home = open_home(session)
    with open_directory(session, home, home.cluster(cluster_name(session, home))) as opened:
        if session.options.node_id is not None:
            _check_node(session.options.node_id, opened)
        yield opened


def open_directory(session: Session, home: Home, directory: ClusterDir) -> OpenCluster:
    """A cluster of which the directory is known."""
    store = open_store(directory)
    try:
        history = History(directory.history_db)
    except BaseException:
        store.close()
        raise
    return OpenCluster(
        home,
        directory,
        store,
        history,
        clock=SystemClock(),
        who=Who.here(session.run_id),
        policy=policy(session),
        telemetry=partial(telemetry_store, session, directory),
    )


def policy(session: Session) -> Policy:
    """The settings that bound the work."""
    config = session.config
    undo = UndoPolicy(
        keep=config.get("undo.keep", int),
        max_age=config.get("undo.max_age", timedelta),
        max_bytes=config.optional("undo.max_bytes", int),
    )
    return Policy(limits=config.limits, undo=undo, lock_wait=session.lock_wait)


def telemetry_store(session: Session, directory: ClusterDir) -> TelemetryStore:
    """The telemetry of a cluster on this node."""
    from blixard.telemetry.store import TelemetryStore

    config = session.config
    return TelemetryStore(
        directory.telemetry_db,
        max_age=config.get("telemetry.max_age", timedelta),
        max_bytes=config.get("telemetry.max_bytes", int),
    )


@contextmanager
def telemetry_source(session: Session, opened: OpenCluster) -> Iterator[TelemetrySource]:
    """What this node can tell about itself, for an export."""
    from blixard.telemetry.source import NodeTelemetry, about_this_host

    snapshot = opened.snapshot()
    about = about_this_host(snapshot.id, snapshot.name, snapshot.self_node)
    with telemetry_store(session, opened.directory) as store:
        yield NodeTelemetry(store, opened.clock, about, opened.policy.limits)


def progress(session: Session) -> AbstractContextManager[Meter]:
    """Where long work reports, as the terminal and BLIXARD_PROGRESS say."""
    from blixard.cli.progress import choose_style, showing_progress

    style = choose_style(os.environ, sys.stderr, quiet=session.options.quiet)
    return showing_progress(session.out, style)


def reopening(session: Session, home: Home) -> Callable[[ClusterDir], OpenCluster]:
    """For verbs that move or make a cluster's directory and then work in it."""
    return partial(open_directory, session, home)


def _check_node(wanted: int, opened: OpenCluster) -> None:
    mine = opened.snapshot().self_node
    if wanted != mine:
        raise UsageError(
            f"`--node-id {wanted}`: the data directory `{opened.home.root}` is node {mine}",
            hint="run the command on that node, or choose its data directory with `--data-dir`",
        )
