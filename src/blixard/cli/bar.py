"""The bar on a terminal: one line for the disk at hand, one for all of them. The only module that knows rich."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from blixard.cli.human import visible
from blixard.cli.progress import Reading


class Bar:
    """Draws readings on stderr; `show` is called from one thread."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console or Console(stderr=True, highlight=False),
            auto_refresh=False,
            transient=True,
        )
        self._disk = self._progress.add_task("", total=None, visible=False)
        self._all = self._progress.add_task("all", total=None)
        self._shown = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, reading: Reading) -> None:
        """Draw `reading`."""
        if reading.task != self._shown:
            self._shown = reading.task
            self._progress.reset(self._disk, description=visible(reading.task), visible=bool(reading.task))
        self._progress.update(self._disk, completed=reading.task_done, total=reading.task_bytes)
        self._progress.update(self._all, completed=reading.done, total=reading.expected)
        self._progress.refresh()

    def print_line(self, text: str) -> None:
        """Print `text` above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
