"""One transfer: what it took, at both ends, until what arrived is durable."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from .measure import Usage, Watch, run, shell, tree

_TICKS = os.sysconf("SC_CLK_TCK")
_REAPED_SECONDS = 2.0


class Ends(Struct, frozen=True, kw_only=True):
    """Seconds of wall; seconds of CPU and peak bytes of memory of both ends."""

    wall: float
    sender_cpu: float
    receiver_cpu: float
    sender_memory: int
    receiver_memory: int


def transfer(line: str, sender: int, folder: Path, environment: dict[str, str], *, durable: bool) -> Ends:
    """Run a receiver's line of shell in `folder`.

    Args:
        line: the receiver.
        sender: process id of the sending end, which waits.
        folder: where it runs, and what is synced.
        environment: all of the receiver's.
        durable: the time ends when the file system is written back.
    """
    before, resting = _cpu(sender), len(list(tree(sender)))
    watch = Watch(sender)
    try:
        usage: Usage = run(shell(line), environment=environment, folder=folder, durable=durable)
        _wait_until_rests(sender, resting)
    finally:
        memory = watch.end()
    return Ends(
        wall=usage.wall,
        sender_cpu=_cpu(sender) - before,
        receiver_cpu=usage.cpu,
        sender_memory=memory,
        receiver_memory=usage.memory,
    )


def median(found: Iterable[Ends]) -> Ends:
    """The median of each figure on its own; of memory the most."""
    given = list(found)
    return Ends(
        wall=statistics.median(each.wall for each in given),
        sender_cpu=statistics.median(each.sender_cpu for each in given),
        receiver_cpu=statistics.median(each.receiver_cpu for each in given),
        sender_memory=max(each.sender_memory for each in given),
        receiver_memory=max(each.receiver_memory for each in given),
    )


def _wait_until_rests(pid: int, processes: int) -> None:
    """What a process for one connection took is known to its parent only when it has ended."""
    until = time.monotonic() + _REAPED_SECONDS
    while len(list(tree(pid))) > processes and time.monotonic() < until:
        time.sleep(0.01)


def _cpu(pid: int) -> float:
    """Seconds that a process, its descendants and those that they have outlived took so far."""
    return sum(map(_ticks, tree(pid))) / _TICKS


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
