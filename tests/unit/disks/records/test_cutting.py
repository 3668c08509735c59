from __future__ import annotations

import pytest

from blixard.disks.records.cutting import Cell, cells, runs
from blixard.disks.records.memory import PageBuffer
from blixard.limits import BLOCK_BYTES, CELL_BYTES, TIB
from blixard.ports import Extent

K64 = BLOCK_BYTES


def cut(data: bytes) -> list[tuple[int, int]]:
    return runs(holding(data), [(0, len(data))])


def holding(data: bytes) -> PageBuffer:
    buffer = PageBuffer(len(data))
    buffer.view[:] = data
    return buffer


def test_a_hole_of_a_tebibyte_makes_no_cell() -> None:
    found = list(cells([Extent(TIB, 10)], TIB + CELL_BYTES))

    assert found == [Cell(TIB, ((0, K64),))]


def test_an_extent_is_widened_to_whole_blocks() -> None:
    assert list(cells([Extent(K64 + 5, 1)], CELL_BYTES)) == [Cell(0, ((K64, 2 * K64),))]


def test_extents_that_touch_one_block_are_read_once() -> None:
    assert list(cells([Extent(1, 1), Extent(9, 1), Extent(K64, 7)], CELL_BYTES)) == [Cell(0, ((0, 2 * K64),))]


def test_an_extent_over_a_cells_border_is_split_there() -> None:
    found = list(cells([Extent(CELL_BYTES - 1, 2)], 2 * CELL_BYTES))

    assert found == [Cell(0, ((CELL_BYTES - K64, CELL_BYTES),)), Cell(CELL_BYTES, ((0, K64),))]


def test_spans_of_one_cell_stay_apart_over_a_hole() -> None:
    found = list(cells([Extent(0, K64), Extent(3 * K64, K64)], CELL_BYTES))

    assert found == [Cell(0, ((0, K64), (3 * K64, 4 * K64)))]


@pytest.mark.parametrize("size", [1, K64 - 1, K64 + 1, CELL_BYTES + 3])
def test_no_span_passes_the_end_of_the_disk(size: int) -> None:
    last = list(cells([Extent(0, size)], size))[-1]

    assert last.offset + last.spans[-1][1] == size


def test_an_extent_past_the_end_is_cut_off() -> None:
    assert list(cells([Extent(0, 10 * CELL_BYTES)], K64)) == [Cell(0, ((0, K64),))]
    assert list(cells([Extent(CELL_BYTES, 5)], K64)) == []


def test_zeros_are_no_run() -> None:
    assert cut(bytes(CELL_BYTES)) == []


def test_one_byte_makes_its_whole_block_a_run() -> None:
    data = bytearray(4 * K64)
    data[2 * K64 - 1] = 1

    assert cut(bytes(data)) == [(K64, 2 * K64)]


def test_blocks_that_touch_make_one_run() -> None:
    assert cut(b"\1" * 3 * K64 + bytes(K64) + b"\1" * K64) == [(0, 3 * K64), (4 * K64, 5 * K64)]


def test_a_short_last_block_counts_as_a_block() -> None:
    assert cut(bytes(K64) + b"\0\0\1") == [(K64, K64 + 3)]
    assert cut(b"\1" * K64 + bytes(3)) == [(0, K64)]


def test_what_was_not_read_is_no_run_whatever_the_buffer_holds() -> None:
    stale = holding(b"\xff" * CELL_BYTES)

    assert runs(stale, [(0, K64), (2 * K64, 3 * K64)]) == [(0, K64), (2 * K64, 3 * K64)]
