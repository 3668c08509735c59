from __future__ import annotations

import threading

import pytest

from blixard.errors import TransferError
from blixard.limits import MIB
from blixard.peer.pace.budget import Budget, Portions
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
    with budget.room() as settle:
        assert budget.held > MIB
        settle(16 * MIB)
        assert budget.held == 16 * MIB
    assert budget.held == 0

    with budget.room() as settle:
        assert budget.held == 16 * MIB
        settle(0)
        assert budget.held == 0
    assert budget.held == 0


def test_room_is_given_back_when_the_block_fails() -> None:
    budget = Budget(100)

    def fail() -> None:
        with budget.room() as settle:
            settle(7)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert budget.held == 0


def test_one_that_ends_gives_up_waiting_and_the_others_wait_on() -> None:
    budget, ended = Budget(1), threading.Event()
    budget.take(1)
    staying = Started(lambda: budget.take(1))
    leaving = Started(lambda: budget.take(1, ended.is_set))
    assert not leaving.is_done_within(0.05)
    ended.set()
    budget.wake()

    with pytest.raises(TransferError):
        leaving.result()
    assert not staying.is_done_within(0.05)
    budget.give(1)
    staying.result()


def test_a_receiver_has_one_budget_as_long_as_a_session_of_it_stands() -> None:
    portions = Portions(10)
    first = portions.join("a")

    assert portions.join("a") is first
    assert portions.join("b") is not first
    portions.leave("a")
    assert portions.join("a") is first
    for each in ("a", "a", "b"):
        portions.leave(each)
    assert len(portions) == 0
