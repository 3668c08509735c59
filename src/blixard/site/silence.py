"""A listener that shows nothing: for work that is part of something larger, and for scripts."""

from __future__ import annotations


class Silence:
    """`ports.Progress` without a screen."""

    def expect(self, total_bytes: int) -> None:
        """See `Progress.expect`."""

    def begin(self, task: str, total_bytes: int | None) -> None:
        """See `Progress.begin`."""

    def advance(self, amount_bytes: int) -> None:
        """See `Progress.advance`."""

    def end(self) -> None:
        """See `Progress.end`."""

    def warn(self, message: str) -> None:
        """See `Progress.warn`."""


SILENT = Silence()
