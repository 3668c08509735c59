"""The bar on a terminal: one line for the disk at hand, one for all of them. The only module that knows rich.

rich would take stdout over as well, and break what it prints at the width of the terminal: a ticket would not reach its
file, and not be one line. So nothing is redirected: whoever writes beside the bar does it inside `aside`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from blixard.cli.human import visible
from blixard.cli.progress import Reading


class Bar:
    """Draws readings on stderr; `show` is called from one thread, `aside` from any."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
        )
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._disk = self._progress.add_task("", total=None, visible=False)
        self._all = self._progress.add_task("all", total=None)
        self._shown = ""

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hide()

    def show(self, reading: Reading) -> None:
        """Draw `reading`."""
        if reading.task != self._shown:
            self._shown = reading.task
            self._progress.reset(self._disk, description=visible(reading.task), visible=bool(reading.task))
        self._progress.update(self._disk, completed=reading.task_done, total=reading.task_bytes)
        self._progress.update(self._all, completed=reading.done, total=reading.expected)
        self._draw()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The bar is off the screen inside; the next `show` brings it back below what was written."""
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
