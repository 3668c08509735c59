"""Runs one command and says what it took: wall, CPU and peak memory of all its processes.

Memory is sampled from /proc, because `ru_maxrss` of a child begins with what its parent had when it was forked.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import Struct

SAMPLE_SECONDS = 0.01


class Usage(Struct, frozen=True):
    """What one run took: seconds of wall and of CPU (user and system), peak bytes of memory."""

    wall: float
    cpu: float
    memory: int


class BenchError(Exception):
    """A command failed, or what came back is not what went in: no figure of this run counts."""


def run(command: list[str], *, environment: dict[str, str], folder: Path, durable: bool = True) -> Usage:
    """Run a command to its end.

    Args:
        command: the words of it.
        environment: all of its environment.
        folder: where it runs.
        durable: the time ends when the file system of `folder` is written back, whoever wrote.

    Raises:
        BenchError: it did not end with 0.
    """
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        watch = Watch(child.pid)
        _, status, spent = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if durable:
            subprocess.run(["sync", "-f", str(folder)], check=True)
        wall = time.perf_counter() - began
        memory = watch.end()
        if child.returncode != 0:
            said.seek(0)
            raise BenchError(f"{command} ended with {child.returncode}: {said.read()[-2000:].decode(errors='replace')}")
    return Usage(wall, spent.ru_utime + spent.ru_stime, memory)


def shell(line: str) -> list[str]:
    """The command that runs a line of shell; it fails when any part of a pipe does."""
    return ["bash", "-o", "pipefail", "-ec", line]


def median(usages: Iterable[Usage]) -> Usage:
    """The median of each figure on its own."""
    given = list(usages)
    return Usage(
        wall=statistics.median(each.wall for each in given),
        cpu=statistics.median(each.cpu for each in given),
        memory=int(statistics.median(each.memory for each in given)),
    )


def in_turns(jobs: dict[str, Callable[[], Usage]], rounds: int) -> dict[str, list[Usage]]:
    """Every job once in each round (A B C A B C ...), so that a busy minute of the machine meets all of them."""
    found: dict[str, list[Usage]] = {key: [] for key in jobs}
    for _ in range(rounds):
        for key, job in jobs.items():
            found[key].append(job())
    return found


class Watch:
    """Looks at the memory of a process and all its descendants until told to end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> int:
        """Peak bytes."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while True:
            now = [_memory(pid) for pid in tree(self._pid)]
            together = sum(resident for resident, _ in now)
            # the kernel's own high-water mark of one process sees what falls between two samples
            self._peak = max([self._peak, together, *(highest for _, highest in now)])
            if self._over.wait(SAMPLE_SECONDS):
                return


def tree(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for children in _children_files(pid):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from tree(int(child))


def _children_files(pid: int) -> list[Path]:
    """One for each thread; none when the process is gone."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        return [tasks / name / "children" for name in os.listdir(tasks)]  # noqa: PTH208 - names, and one try around all
    except OSError:
        return []


def _memory(pid: int) -> tuple[int, int]:
    """Resident bytes now and at most; zeros when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes.get("VmRSS", 0), sizes.get("VmHWM", 0)
