"""What is measured here is the kernel's count of page faults: a property of the process, so a process is started."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import resource, sys, threading
from blixard.disks.allocation import keep_freed_memory
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


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_used_again_without_asking_the_kernel() -> None:
    assert page_faults("kept") < PAGES / 20
