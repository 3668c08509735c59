from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys

import pytest

from blixard.disks.records.memory import PageBuffer

SCRIPT = """
import resource, sys, threading
from blixard.disks.records.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def work():
    for _ in range(100):
        frame = bytes(1 << 20)
        text = bytes(4 << 19)
        line = bytes(5 << 19)
        del text, frame, line
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 100 * (11 << 19) // 4096


@pytest.mark.parametrize("size", [1, 4095, 4096, 1 << 20])
def test_a_buffer_begins_at_a_page_border_and_has_its_size(size: int) -> None:
    view = PageBuffer(size).view

    assert ctypes.addressof(ctypes.c_char.from_buffer(view)) % mmap.PAGESIZE == 0
    assert len(view) == size


@pytest.mark.parametrize("place", [0, 4095, 70_000, (1 << 20) - 1])
def test_one_byte_that_is_not_zero_is_found_where_it_is(place: int) -> None:
    buffer = PageBuffer(1 << 20)
    assert buffer.is_zero(0, 1 << 20)

    buffer.view[place] = 1

    assert not buffer.is_zero(0, 1 << 20)
    assert not buffer.is_zero(place, place + 1)
    assert buffer.is_zero(0, place)
    assert buffer.is_zero(place + 1, 1 << 20)


def page_faults(how: str) -> int:
    """The kernel's count, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_used_again_without_asking_the_kernel() -> None:
    assert page_faults("kept") < PAGES / 20
