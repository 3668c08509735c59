from __future__ import annotations

import pytest

from blixard.errors import TransferError
from blixard.limits import MIB
from blixard.peer.budget import Budget
from support.link_conformance import Started


def test_what_is_free_is_taken_at_once_and_the_rest_waits() -> None:
    budget = Budget(10)
    budget.take(6)
    waiting = Started(lambda: budget.take(5))
    assert not waiting.is_done_within(0.05)

    budget.give(6)

    waiting.result()
    assert budget.held == 5


def test_more_than_all_of_it_passes_alone() -> None:
    budget = Budget(10)
    budget.take(1)
    waiting = Started(lambda: budget.take(100))
    assert not waiting.is_done_within(0.05)
    budget.give(1)
    waiting.result()

    assert budget.held == 100


def test_closing_wakes_whoever_waits() -> None:
    budget = Budget(1)
    budget.take(1)
    waiting = Started(lambda: budget.take(1))
    assert not waiting.is_done_within(0.05)
    budget.close()
    budget.close()

    with pytest.raises(TransferError):
        waiting.result()
    with pytest.raises(TransferError):
        budget.take(1)


def test_room_is_held_for_the_largest_so_far_until_the_size_is_known() -> None:
    budget = Budget(100 * MIB)
    with budget.room() as room:
        assert budget.held > MIB
        room.settle(16 * MIB)
        assert budget.held == 16 * MIB
    assert budget.held == 0

    with budget.room() as room:
        assert budget.held == 16 * MIB
        room.settle(0)
        assert budget.held == 0
    assert budget.held == 0


def test_room_is_given_back_when_the_block_fails() -> None:
    budget = Budget(100)

    def fail() -> None:
        with budget.room() as room:
            room.settle(7)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert budget.held == 0
