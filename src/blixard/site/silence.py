"""A listener that shows nothing: for work that is part of something larger, and for scripts."""

from __future__ import annotations


class Silence:
    """`ports.Progress` without a screen."""

    def expect(self, total_bytes: int) -> None:
        """Not shown."""

    def begin(self, task: str, total_bytes: int | None) -> None:
        """Not shown."""

    def advance(self, amount_bytes: int) -> None:
        """Not shown."""

    def end(self) -> None:
        """Not shown."""

    def warn(self, message: str) -> None:
        """Not shown."""


SILENT = Silence()
