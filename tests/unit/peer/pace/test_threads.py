from __future__ import annotations

import threading

import pytest

from blixard.peer.pace.threads import Threads
from support.link_conformance import SOON


def test_what_a_task_raises_goes_to_the_owner_of_all_or_to_its_own() -> None:
    heard: list[tuple[str, str]] = []
    threads = Threads("test", failed=lambda problem: heard.append(("all", str(problem))))

    def run() -> None:
        raise OSError("too many open files")

    assert threads.spawn("one", run)
    threads.join()
    own = Threads("test", failed=lambda problem: heard.append(("all", str(problem))))
    assert own.spawn("two", run, failed=lambda problem: heard.append(("its own", str(problem))))
    own.join()

    assert heard == [("all", "too many open files"), ("its own", "too many open files")]


def test_a_thread_that_cannot_be_had_is_told_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Exception] = []
    threads = Threads("test", failed=heard.append)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert not threads.spawn("one", lambda: None)
    threads.join()

    assert [str(problem) for problem in heard] == ["can't start new thread"]


def test_nothing_is_started_after_the_join() -> None:
    threads = Threads("test")
    ran = threading.Event()
    assert threads.spawn("one", ran.set)
    threads.join()

    assert ran.wait(SOON)
    assert not threads.spawn("two", lambda: None)
