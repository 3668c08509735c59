from __future__ import annotations

import threading
import weakref

import pytest

from blixard.disks.records.crew import Crew
from blixard.errors import InternalError


def nothing() -> None:
    pass


def raising(text: str) -> None:
    raise ValueError(text)


def test_the_first_error_in_order_is_the_error_though_a_later_one_was_faster() -> None:
    later_failed = threading.Event()

    def first() -> None:
        assert later_failed.wait(30)
        raise ValueError("first")

    def second() -> None:
        later_failed.set()
        raise ValueError("second")

    with Crew(2, weight=10, name="test") as crew:
        crew.submit(first, 1)
        crew.submit(second, 1)

        with pytest.raises(ValueError, match="first"):
            crew.drain()


def test_the_first_error_in_order_stays_the_error_when_a_later_one_follows() -> None:
    given, dropped = threading.Barrier(3), threading.Event()

    class Third:
        """Waits behind the others, and is gone as soon as the crew knows of a failure."""

        def __init__(self) -> None:
            weakref.finalize(self, dropped.set)

        def __call__(self) -> None:
            raise AssertionError("was begun after an error")

    def first() -> None:
        given.wait(30)
        raise ValueError("first")

    def second() -> None:
        given.wait(30)
        assert dropped.wait(30)
        raise ValueError("second")

    with Crew(2, weight=10, name="test") as crew:
        crew.submit(first, 1)
        crew.submit(second, 1)
        crew.submit(Third(), 1)
        given.wait(30)

        with pytest.raises(ValueError, match="first"):
            crew.drain()


def test_after_an_error_nothing_that_waited_is_begun() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def fails() -> None:
        assert gate.wait(30)
        raise ValueError("stop")

    with Crew(1, weight=10, name="test") as crew:
        crew.submit(fails, 1)
        crew.submit(lambda: begun.append(1), 1)
        gate.set()
        with pytest.raises(ValueError, match="stop"):
            crew.drain()
        with pytest.raises(ValueError, match="stop"):
            crew.submit(lambda: begun.append(2), 1)

    assert begun == []


def test_no_more_is_in_flight_than_the_bound() -> None:
    lock, inside, most = threading.Lock(), 0, 0

    def task() -> None:
        nonlocal inside, most
        with lock:
            inside += 4
            most = max(most, inside)
        with lock:
            inside -= 4

    with Crew(8, weight=10, name="test") as crew:
        for _ in range(500):
            crew.submit(task, 4)
        crew.drain()

    assert most <= 8


def test_a_task_heavier_than_the_bound_passes_alone() -> None:
    with Crew(2, weight=10, name="test") as crew:
        for _ in range(5):
            crew.submit(nothing, 1000)
        crew.drain()


def test_closing_ends_the_threads_with_work_undone() -> None:
    before = set(threading.enumerate())
    gate = threading.Event()
    crew = Crew(3, weight=1000, name="test")
    for _ in range(100):
        crew.submit(lambda: None if gate.wait(30) else raising("gate"), 1)
    gate.set()

    crew.close()
    crew.close()

    assert set(threading.enumerate()) <= before


def test_workers_that_were_sent_home_take_nothing() -> None:
    crew = Crew(1, weight=1, name="test")
    crew.close()

    with pytest.raises(InternalError):
        crew.submit(nothing, 1)
