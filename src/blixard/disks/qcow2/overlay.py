"""One image over another: which guest bytes may hold data when both are seen as one.

Pure, a sweep over two ascending streams; a chain of sixteen images is fifteen of these, each holding one interval.
"""

from __future__ import annotations

from collections.abc import Iterator

from blixard.disks.qcow2.entries import RangeKind
from blixard.disks.qcow2.mapping import Run
from blixard.ports import Extent


def overlay_extents(top: Iterator[Run], below: Iterator[Extent], size_bytes: int) -> Iterator[Extent]:
    """Yield what may hold data: the data of `top`, and of `below` where `top` stores nothing.

    Args:
        top: ascending runs, no `NONE` among them; a `ZERO` run hides what is below.
        below: ascending extents of the backing image, which may be longer than `size_bytes`.
        size_bytes: of the image on top.
    """
    return _merged(_pieces(top, below, size_bytes))


def _pieces(top: Iterator[Run], below: Iterator[Extent], size_bytes: int) -> Iterator[tuple[int, int]]:
    """Data as (start, end), ascending, touching pieces not merged."""
    lower = _Lower(below, size_bytes)
    for run in top:
        yield from lower.up_to(run.start)
        lower.skip_to(run.end)
        if run.kind != RangeKind.ZERO:
            yield run.start, run.end
    yield from lower.up_to(size_bytes)


class _Lower:
    """The extents of the image below that were not looked at yet, ascending."""

    def __init__(self, extents: Iterator[Extent], size_bytes: int) -> None:
        self._extents = extents
        self._size = size_bytes
        self._at = 0
        self._end = 0
        self._more = True

    def up_to(self, offset: int) -> Iterator[tuple[int, int]]:
        """Yield and consume what lies before `offset`."""
        while self._fill() and self._at < offset:
            stop = min(self._end, offset)
            yield self._at, stop
            self._at = stop

    def skip_to(self, offset: int) -> None:
        """Consume what lies before `offset`."""
        while self._fill() and self._at < offset:
            self._at = min(self._end, offset)

    def _fill(self) -> bool:
        """Have an interval at hand; False when there is no more."""
        while self._more and self._at >= self._end:
            extent = next(self._extents, None)
            if extent is None or extent.offset >= self._size:
                self._more = False
                break
            self._at, self._end = extent.offset, min(extent.offset + extent.length, self._size)
        return self._more


def _merged(pieces: Iterator[tuple[int, int]]) -> Iterator[Extent]:
    """Join pieces that touch."""
    start = end = 0
    for piece_start, piece_end in pieces:
        if piece_start != end:
            if end > start:
                yield Extent(start, end - start)
            start = piece_start
        end = piece_end
    if end > start:
        yield Extent(start, end - start)
