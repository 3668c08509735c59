"""The events of a document up to the place where its bytes are damaged or missing, every one of them.

A reader fetches ahead, and raises for a damaged gzip member before it has looked at the good text that came with it.
Who wants to know what is still good in a file needs that text looked at first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from blixard.errors import MalformedExport
from blixard.format.envelope import TextSource, open_text
from blixard.format.events import Event
from blixard.format.reader import DocumentReader
from blixard.limits import Limits


def read_up_to_damage(stream: BinaryIO, limits: Limits) -> Iterator[Event]:
    """As `read_export`, but all events that stand before the damage come before the error.

    Raises:
        MalformedExport, UnsupportedVersion, LimitExceeded: as `read_export`.
    """
    source = _UpToDamage(open_text(stream))
    try:
        yield from DocumentReader(source, limits).events()
    except MalformedExport as problem:
        if source.problem is None:
            raise
        raise source.problem from problem
    if source.problem is not None:
        raise source.problem  # the document was whole before the damage, the file is not


class _UpToDamage:
    """Text that seems to end where the damage is."""

    def __init__(self, source: TextSource) -> None:
        self._source = source
        self.compressed = source.compressed
        self.problem: MalformedExport | None = None

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end, or from the damage on."""
        if self.problem is not None:
            return b""
        try:
            return self._source.read(size)
        except MalformedExport as problem:
            self.problem = problem
            return b""
