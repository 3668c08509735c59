"""Bars on a terminal, one for each row of what goes on. The only module that knows rich.

rich would take stdout over as well, and break what it prints at the width of the terminal: a ticket would not reach its
file, and not be one line. So nothing is redirected: whoever writes beside the bars does it inside `aside`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn
from rich.text import Text

from blixard.cli.screen import human
from blixard.cli.screen.meter import Rows

_SPEED_SECONDS = 10.0
"""Over which a rate is taken: long enough to be read, short enough that a line which stands still shows it."""
_BAR_COLUMNS = 20
"""So that name, sizes, rate and time left fit into 80."""


class Bar:
    """Draws rows on stderr; `show` is called from one thread, `aside` from any."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(_BAR_COLUMNS),
            DownloadColumn(binary_units=True),
            _RateColumn(),
            TimeLeftColumn(),
            console=self._console,
            auto_refresh=False,
            speed_estimate_period=_SPEED_SECONDS,
        )
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        self._hide()

    def show(self, rows: Rows) -> None:
        """Draw `rows`; one that comes anew begins with a rate of its own."""
        going_on = {row.name for row in rows if row.done >= self._done.get(row.name, 0)}
        for gone in self._tasks.keys() - going_on:
            self._progress.remove_task(self._tasks.pop(gone))
        self._done = {row.name: row.done for row in rows}
        if not rows:
            self._hide()
            return
        for row in rows:
            if row.name not in self._tasks:
                self._tasks[row.name] = self._progress.add_task(human.visible(row.name), total=None)
            self._progress.update(self._tasks[row.name], completed=row.done, total=row.total)
        self._draw()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The bars are off the screen inside; the next `show` brings them back below what was written."""
        with self._lock:
            self._hide()
            yield

    def _draw(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.refresh()
                return
            # a new one each time: one that is started again wipes out the line above it
            self._live = Live(
                self._progress,
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _hide(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None


class _RateColumn(ProgressColumn):
    """Bytes a second in the units of everything else that we print."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{human.size(int(task.speed))}/s", style="progress.data.speed")
