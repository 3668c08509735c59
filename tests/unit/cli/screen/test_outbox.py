from __future__ import annotations

import threading

from blixard.cli.screen.outbox import Outbox

SECONDS = 20


def test_what_is_posted_is_written_in_order_before_the_end() -> None:
    said: list[int] = []
    with Outbox(said.append) as outbox:
        for number in range(100):
            outbox.post(lambda number=number: said.append(number))  # type: ignore[misc]

    assert said == list(range(100))


def test_nobody_waits_for_a_reader_and_what_found_no_room_is_counted() -> None:
    begun, read = threading.Event(), threading.Event()
    said: list[str] = []

    def write() -> None:
        begun.set()
        assert read.wait(SECONDS)
        said.append("first")

    with Outbox(lambda count: said.append(f"missed {count}"), most=2) as outbox:
        outbox.post(write)
        assert begun.wait(SECONDS)
        for word in ("second", "third", "fourth", "fifth"):
            outbox.post(lambda word=word: said.append(word))  # type: ignore[misc]
        read.set()

    assert said == ["first", "second", "third", "missed 2"]


def test_the_end_does_not_wait_for_ever_for_a_reader() -> None:
    read = threading.Event()
    with Outbox(lambda _count: None, parting_seconds=0.05) as outbox:
        outbox.post(lambda: assert_waited(read))
    ended_before_anybody_read = not read.is_set()
    read.set()

    assert ended_before_anybody_read


def assert_waited(event: threading.Event) -> None:
    assert event.wait(SECONDS)


def test_when_the_reader_is_gone_nothing_more_is_written() -> None:
    said: list[str] = []
    gone = threading.Event()

    def write() -> None:
        gone.set()
        raise BrokenPipeError

    with Outbox(lambda _count: None) as outbox:
        outbox.post(write)
        assert gone.wait(SECONDS)
        outbox.post(lambda: said.append("more"))

    assert said == []
