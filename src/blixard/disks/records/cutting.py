"""Where records begin and end: cells of 1 MiB, blocks of 64 KiB, runs of blocks that are not all zero.

Cutting depends on the content alone: what a file system calls allocated only saves reading, so two copies of a disk on
different file systems give the same records (FORMAT.md section 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from blixard.disks.records.memory import PageBuffer
from blixard.limits import BLOCK_BYTES, CELL_BYTES
from blixard.ports import Extent


class Cell(Struct, frozen=True):
    """One cell of a disk that may hold data.

    `offset` is of the cell, in bytes from the disk's beginning; `spans` are the (start, end) inside it, in bytes and at
    block borders, that have to be read. Everything else in the cell is zero.
    """

    offset: int
    spans: tuple[tuple[int, int], ...]


def cells(extents: Iterable[Extent], size_bytes: int) -> Iterator[Cell]:
    """The cells that hold any part of `extents` (ascending, not overlapping), widened outward to whole blocks.

    A hole costs nothing however large it is: cells without an extent are never made.
    """
    offset = -1
    spans: list[tuple[int, int]] = []
    for start, end in _pieces(extents, size_bytes):
        cell = start - start % CELL_BYTES
        if cell != offset:
            if spans:
                yield Cell(offset, tuple(spans))
            offset, spans = cell, []
        start, end = start - cell, end - cell  # noqa: PLW2901 - relative to the cell from here on
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    if spans:
        yield Cell(offset, tuple(spans))


def _pieces(extents: Iterable[Extent], size_bytes: int) -> Iterator[tuple[int, int]]:
    """Absolute (start, end), ascending, at block borders, none across a cell's border; the last block may be short."""
    for extent in extents:
        start = extent.offset - extent.offset % BLOCK_BYTES
        stop = min(extent.offset + extent.length, size_bytes)
        stop = min(stop + -stop % BLOCK_BYTES, size_bytes)
        while start < stop:
            end = min(start - start % CELL_BYTES + CELL_BYTES, stop)
            yield start, end
            start = end


def runs(buffer: PageBuffer, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The maximal runs of blocks in `buffer` that are not all zero, as (start, end) inside the cell.

    Args:
        buffer: a cell's bytes, valid inside `spans`.
        spans: ascending and disjoint, at block borders but for the end of the disk.
    """
    found: list[tuple[int, int]] = []
    for begin, stop in spans:
        for start in range(begin, stop, BLOCK_BYTES):
            end = min(start + BLOCK_BYTES, stop)
            if buffer.is_zero(start, end):
                continue
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
    return found
