from __future__ import annotations

import tracemalloc

import pytest

from blixard.disks.records.frames import open_frame
from blixard.limits import MIB
from hostile.frame_vectors import VECTORS, FrameVector


def test_there_are_enough_vectors_and_no_two_of_one_name() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS) >= 25


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.error is None], ids=lambda vector: vector.name)
def test_an_unusual_but_honest_frame_is_read(vector: FrameVector) -> None:
    assert len(open_frame(vector.frame, vector.length)) == vector.length


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.error is not None], ids=lambda vector: vector.name)
def test_a_hostile_frame_meets_its_error_and_no_memory(vector: FrameVector) -> None:
    assert vector.error is not None
    tracemalloc.start()
    try:
        with pytest.raises(vector.error) as caught:
            open_frame(vector.frame, vector.length)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert type(caught.value) is vector.error
    assert vector.says in caught.value.message
    assert peak < 17 * MIB
