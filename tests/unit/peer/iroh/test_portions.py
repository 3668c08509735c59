"""What is written to a stream in one call each: all of it, in order, in as few calls as there are large portions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blixard.peer.iroh.binding import READ_BYTES
from blixard.peer.iroh.link import portions

SIZES = st.one_of(st.integers(0, 200), st.integers(READ_BYTES - 200, READ_BYTES + 200), st.just(5 * READ_BYTES // 2))


@given(st.lists(SIZES, max_size=4))
def test_portions_are_the_pieces_in_calls_of_bounded_size(sizes: list[int]) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]

    made = [bytes(portion) for portion in portions(list(pieces))]

    assert b"".join(made) == b"".join(pieces)
    assert all(0 < len(portion) < 2 * READ_BYTES for portion in made)


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        (1, 1),
        (READ_BYTES - 100, 1),
        (READ_BYTES, 1),
        (4 * READ_BYTES, 4),
        (4 * READ_BYTES + 20, 4),
        (9 * READ_BYTES // 2, 5),
    ],
)
def test_neither_the_head_of_a_frame_nor_its_last_bytes_cost_a_call_of_their_own(body: int, calls: int) -> None:
    assert len(list(portions([bytes(100), bytes(body)]))) == calls
