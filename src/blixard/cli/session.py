"""What one command was asked with: its common options, its channels, its settings, its data directory and cluster.

A command is handed a session and asks it for what it needs; nothing is opened before that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from blixard.cli.screen.output import Console
from blixard.errors import UsageError
from blixard.site.config import Config, load_config
from blixard.site.site import Site, named_cluster

if TYPE_CHECKING:
    from blixard.cli.screen.meter import ProgressMeter
    from blixard.site.open_cluster import OpenCluster


class CommonOptions(Struct, frozen=True, kw_only=True):
    """The options that every command has, as given."""

    cluster: str | None = None
    data_dir: str | None = None
    node_id: int | None = None
    config: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    log_json: bool = False
    yes: bool = False
    lock_wait: timedelta = timedelta(0)


class Session:
    """One run of one command."""

    def __init__(self, options: CommonOptions) -> None:
        self.options = options
        self.out = Console.from_environment(json=options.json, quiet=options.quiet)
        if options.verbose or options.log_json:
            from blixard.cli.logs import set_up_logging

            set_up_logging(verbose=options.verbose, as_json=options.log_json, run_id=self.run_id)

    @cached_property
    def run_id(self) -> str:
        """Names this run in logs and history: 12 hex digits."""
        return os.urandom(6).hex()

    @cached_property
    def config(self) -> Config:
        """The settings in force."""
        return load_config({"data_dir": self.options.data_dir, "config": self.options.config})

    @property
    def lock_wait(self) -> float:
        """Seconds to wait for a lock."""
        return self.options.lock_wait.total_seconds()

    @cached_property
    def site(self) -> Site:
        """The data directory that was chosen, with the settings in force."""
        return Site(self.config, run_id=self.run_id, lock_wait=self.lock_wait)

    @property
    def named_cluster(self) -> str | None:
        """The cluster that was named, by `-c` or BLIXARD_CLUSTER; None means the current one."""
        return named_cluster(self.options.cluster)

    @contextmanager
    def open_cluster(self) -> Iterator[OpenCluster]:
        """The cluster that a command works on.

        Raises:
            NotFound: there is none of that name; the error names the data directory.
            UsageError: `--node-id` names another node than this data directory is.
        """
        with self.site.open_named(self.named_cluster) as opened:
            if self.options.node_id is not None:
                self._check_node(self.options.node_id, opened)
            yield opened

    def progress(self) -> AbstractContextManager[ProgressMeter]:
        """Where long work reports, as the terminal and BLIXARD_PROGRESS say."""
        from blixard.cli.screen.progress import choose_style, showing_progress

        style = choose_style(os.environ, sys.stderr, quiet=self.options.quiet)
        return showing_progress(self.out, style)

    def may_ask(self) -> bool:
        """True when a question would reach somebody and `-y` was not given."""
        from blixard.cli.screen.prompts import can_ask

        return not self.options.yes and not self.options.json and can_ask()

    def consent(self, name: str, what: str) -> None:
        """Ask for `name` on a terminal before `what` is done; a script goes on unasked."""
        from blixard.cli.screen.prompts import confirm_name

        if self.may_ask():
            with self.out.aside():
                confirm_name(name, what)

    def _check_node(self, wanted: int, opened: OpenCluster) -> None:
        mine = opened.snapshot().self_node
        if wanted != mine:
            raise UsageError(
                f"`--node-id {wanted}`: the data directory `{opened.home.root}` is node {mine}",
                hint="run the command on that node, or choose its data directory with `--data-dir`",
            )
