"""What a session's commands work with: the data directory that its options chose, and the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from blixard.cli.session import Session
from blixard.errors import UsageError
from blixard.site.open_cluster import OpenCluster
from blixard.site.site import Site

if TYPE_CHECKING:
    from blixard.cli.screen.meter import ProgressMeter
    from blixard.ports import TelemetrySource


def site(session: Session) -> Site:
    """The data directory that was chosen, with the settings in force."""
    return Site(session.config, run_id=session.run_id, lock_wait=session.lock_wait)


@contextmanager
def open_cluster(session: Session) -> Iterator[OpenCluster]:
    """The cluster that a command works on.

    Raises:
        NotFound: there is none of that name; the error names the data directory.
        UsageError: `--node-id` names another node than this data directory is.
    """
    with site(session).open_named(session.named_cluster) as opened:
        if session.options.node_id is not None:
            _check_node(session.options.node_id, opened)
        yield opened


def telemetry_source(session: Session, opened: OpenCluster) -> AbstractContextManager[TelemetrySource]:
    """What this node can tell about itself, for an export."""
    return site(session).telemetry_source(opened)


def progress(session: Session) -> AbstractContextManager[ProgressMeter]:
    """Where long work reports, as the terminal and BLIXARD_PROGRESS say."""
    from blixard.cli.screen.progress import choose_style, showing_progress

    style = choose_style(os.environ, sys.stderr, quiet=session.options.quiet)
    return showing_progress(session.out, style)


def _check_node(wanted: int, opened: OpenCluster) -> None:
    mine = opened.snapshot().self_node
    if wanted != mine:
        raise UsageError(
            f"`--node-id {wanted}`: the data directory `{opened.home.root}` is node {mine}",
            hint="run the command on that node, or choose its data directory with `--data-dir`",
        )
