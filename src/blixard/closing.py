"""The base of everything that is closed at the end of a `with` block: one `__exit__` instead of twenty."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol, Self


class Closing(Protocol):
    """Its `with` block ends with `close`, whatever happened inside; what was raised there goes on.

    A protocol, so that a port may say that it is closed like this.
    """

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held; harmless when called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
