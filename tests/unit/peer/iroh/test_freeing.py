from __future__ import annotations

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from blixard.peer.iroh import binding
from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint
from blixard.peer.iroh.freeing import defer_frees, free_in
from blixard.peer.iroh.loop import LoopThread

CHURN = """
import gc, os, sys, threading, time
from contextlib import suppress
from blixard.errors import TransferError
from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint

def answer(channel):
    channel.itself = channel
    with suppress(TransferError):
        while (frame := channel.receive(20)) is not None:
            channel.send(frame[0], frame[1])

def serve(listener):
    link = listener.accept(20)
    with suppress(TransferError):
        while True:
            threading.Thread(target=answer, args=(link.accept(20),), daemon=True).start()

def ask(link, until):
    while time.monotonic() < until:
        channel = link.open(20)
        channel.itself = channel
        channel.send({"x": 1}, bytes(1 << 17))
        channel.receive(20)

options = EndpointOptions(listen="127.0.0.1:0")
with IrohEndpoint(os.urandom(32), options) as here, IrohEndpoint(os.urandom(32), options) as there:
    gc.set_threshold(1)
    threading.Thread(target=serve, args=(here.listen(),), daemon=True).start()
    link = there.connect(here.id, here.addresses(), None, 20)
    threads = [threading.Thread(target=ask, args=(link, time.monotonic() + float(sys.argv[1]))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
print("ended")
"""
"""Channels that die in cycles, under a collector that runs all the time, in whatever thread: also the binding's."""


class Freed(list[tuple[int, int]]):
    """What was freed: which object, in which thread."""


def a_binding(freed: Freed) -> Any:
    """A module with one class of objects with a handle, as uniffi makes them, and one without."""

    class Stream:
        def __init__(self, handle: int) -> None:
            self._handle = handle
            self.itself = self  # only the collector frees it

        def __del__(self) -> None:
            freed.append((self._handle, threading.get_ident()))

        def _uniffi_clone_handle(self) -> int:
            return self._handle

    class Plain:
        def __del__(self) -> None:
            raise AssertionError

    return types.SimpleNamespace(Stream=Stream, Plain=Plain, other=1)


@contextmanager
def a_loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    try:
        yield loop
    finally:
        loop.end()


async def own_thread() -> int:
    return threading.get_ident()


def test_an_object_is_freed_in_the_loop_once_wherever_it_died() -> None:
    freed = Freed()
    ffi = a_binding(freed)
    assert defer_frees(ffi) == (ffi.Stream,)

    with a_loop() as loop:
        ffi.Stream(1)
        gc.collect()
        loop.settle()
        assert freed == [(1, loop.run(own_thread()))]
        gc.collect()
        loop.settle()
    assert len(freed) == 1


def test_an_object_that_dies_within_the_loop_waits_for_its_turn() -> None:
    freed = Freed()
    ffi = a_binding(freed)
    defer_frees(ffi)

    async def die() -> int:
        ffi.Stream(2)
        gc.collect()
        return len(freed)

    with a_loop() as loop:
        assert loop.run(die()) == 0
        loop.settle()
        assert [handle for handle, _ in freed] == [2]


def test_without_a_loop_it_is_freed_at_once() -> None:
    freed = Freed()
    ffi = a_binding(freed)
    defer_frees(ffi)
    ffi.Stream(3)
    gc.collect()

    assert freed == [(3, threading.get_ident())]


def test_what_a_loop_left_when_it_ended_is_freed_by_whoever_ended_it() -> None:
    freed = Freed()
    ffi = a_binding(freed)
    defer_frees(ffi)
    loop = asyncio.new_event_loop()
    free_in(loop)
    ffi.Stream(4)
    gc.collect()
    loop.close()
    assert freed == []
    ffi.Stream(5)
    gc.collect()
    free_in(None)

    assert sorted(handle for handle, _ in freed) == [4, 5]


def test_an_object_whose_free_fails_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    freed = Freed()
    ffi, broken = a_binding(freed), a_binding(freed)

    def fail(_: object) -> None:
        raise RuntimeError("panicked")

    broken.Stream.__del__ = fail
    for each in (ffi, broken):
        defer_frees(each)
    with a_loop() as loop:
        broken.Stream(6)
        ffi.Stream(7)
        gc.collect()
        loop.settle()

    assert [handle for handle, _ in freed] == [7]
    assert "panicked" in caplog.text


def test_every_class_of_the_binding_that_has_a_handle_is_deferred() -> None:
    ffi = binding.load()
    finalized = [each for each in vars(ffi).values() if inspect.isclass(each) and "__del__" in vars(each)]
    deferred = [each for each in finalized if vars(each)["__del__"].__module__ == free_in.__module__]

    assert deferred == finalized
    assert {ffi.SendStream, ffi.RecvStream, ffi.BiStream, ffi.Connection, ffi.Endpoint} <= set(deferred)


def test_the_port_of_an_endpoint_is_free_once_it_is_closed_though_others_go_on() -> None:
    with IrohEndpoint(os.urandom(32), EndpointOptions(listen="127.0.0.1:0")):
        first = IrohEndpoint(os.urandom(32), EndpointOptions(listen="127.0.0.1:0"))
        (address,) = first.addresses()
        first.close()
        with IrohEndpoint(os.urandom(32), EndpointOptions(listen=address)) as again:
            assert again.addresses() == (address,)


@pytest.mark.parametrize("seconds", [4, pytest.param(120, marks=pytest.mark.long)])
def test_garbage_that_is_collected_in_the_bindings_own_threads_stops_nobody(seconds: int) -> None:
    # without the deferral four of ten runs of 4 s stood still
    command = [sys.executable, "-c", CHURN, str(seconds)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60 + seconds, check=False)

    assert (ran.returncode, ran.stdout) == (0, "ended\n"), ran.stderr
