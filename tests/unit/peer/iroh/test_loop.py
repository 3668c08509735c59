from __future__ import annotations

import asyncio
import threading

import pytest

from blixard.errors import TransferError
from blixard.peer.iroh.loop import LoopThread, release, shared_loop
from support.link_conformance import Started, no_thread_left


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_all_users_share_one_loop_and_the_last_one_ends_it() -> None:
    with no_thread_left():
        first, second = shared_loop(), shared_loop()
        assert first is second
        release(first)
        assert second.run(answer(1)) == 1
        release(second)

        third = shared_loop()
        assert third is not first
        assert third.run(answer(2)) == 2
        release(third)


def test_an_error_of_the_work_is_the_callers() -> None:
    async def fail() -> None:
        raise LookupError("no")

    loop = shared_loop()
    with pytest.raises(LookupError, match="no"):
        loop.run(fail())
    release(loop)


def test_the_end_of_the_loop_wakes_whoever_waits() -> None:
    loop = LoopThread()
    waiting = Started(lambda: loop.run(wait_for_ever()))
    assert not waiting.is_done_within(0.05)
    loop.end()

    with pytest.raises(TransferError, match="closed"):
        waiting.result()


def test_nothing_runs_on_a_loop_that_has_ended() -> None:
    loop = LoopThread()
    loop.end()
    called: list[int] = []
    loop.soon(lambda: called.append(1))

    with pytest.raises(TransferError, match="closed"):
        loop.run(answer(1))
    assert called == []


def test_callers_that_come_while_it_ends_get_their_answer_or_an_error_and_never_hang() -> None:
    for _ in range(20):
        loop = LoopThread()
        begun = threading.Barrier(5)

        def call(loop: LoopThread = loop, begun: threading.Barrier = begun) -> int:
            begun.wait()
            try:
                return loop.run(answer(3))
            except TransferError:
                return 3

        calls = [Started(call) for _ in range(4)]
        begun.wait()
        loop.end()

        assert [each.result() for each in calls] == [3] * 4
