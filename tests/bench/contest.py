"""The contest: every tool packs the same disks and brings them back, in turns, each from the same page cache."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from .inputs import MIB, allocated, data_ranges, stored_bytes, warm
from .machine import load
from .measure import BenchError, Usage, median, run, shell
from .tools import Tool

BLOCK = 64 << 10


class Row(Struct, frozen=True, kw_only=True):
    """One tool's medians. `restored` is what its copy of the disks takes."""

    pack: Usage
    unpack: Usage
    stored: int
    restored: int
    whole: bool
    """Every restore that was looked at is equal byte by byte."""


def contest(tools: list[Tool], disks: Mapping[str, Path], work: Path, rounds: int) -> tuple[dict[str, Row], list[str]]:
    """Run it; return the medians by tool, and the load average before each round.

    Raises:
        BenchError: a tool failed, or a restore of ours differs.
    """
    runs = [_Runs(tool, disks, work) for tool in tools]
    loads = []
    for number in range(rounds):
        loads.append(load())
        for each in runs:
            each.pack()
        for each in runs:
            each.unpack(check=each.tool.is_ours or number == 0)
        print(f"  round {number + 1} of {rounds}: load {loads[-1]} before, {load()} after", flush=True)
    return {each.tool.name: each.row() for each in runs}, loads


class _Runs:
    """What one tool did so far."""

    def __init__(self, tool: Tool, disks: Mapping[str, Path], work: Path) -> None:
        self.tool = tool
        self._disks = disks
        self._work = work
        self._packs: list[Usage] = []
        self._unpacks: list[Usage] = []
        self._restored = 0
        self._whole = True

    def pack(self) -> None:
        tool = self.tool
        remove(tool.store)
        if tool.before:
            _line(tool, tool.before, self._work)
        warm(self._disks.values())
        subprocess.run(["sync", "-f", self._work], check=True)
        self._packs.append(_line(tool, tool.pack, self._work))
        print(f"    {tool.name}: packed in {self._packs[-1].wall:.2f} s", flush=True)

    def unpack(self, *, check: bool) -> None:
        target = self._work / "restored"
        remove(target)
        target.mkdir()
        warm([self.tool.store])
        subprocess.run(["sync", "-f", self._work], check=True)
        self._unpacks.append(_line(self.tool, self.tool.unpack, target))
        if check:
            self._check(self.tool.found(target))
        remove(target)
        print(f"    {self.tool.name}: unpacked in {self._unpacks[-1].wall:.2f} s", flush=True)

    def row(self) -> Row:
        return Row(
            pack=median(self._packs),
            unpack=median(self._unpacks),
            stored=stored_bytes(self.tool.store),
            restored=self._restored,
            whole=self._whole,
        )

    def _check(self, found: Mapping[str, Path]) -> None:
        if self.tool.is_ours:
            for vm, path in found.items():
                _check_allocation(self._disks[vm], path)
        self._restored = sum(allocated(path) for path in found.values())
        same = [_same(self._disks[vm], path) for vm, path in found.items()]
        self._whole = self._whole and all(same) and len(same) == len(self._disks)
        if self.tool.is_ours and not self._whole:
            raise BenchError(f"a disk that {self.tool.name} restored differs from the original")


def _line(tool: Tool, line: str, folder: Path) -> Usage:
    return run(shell(line), environment=dict(tool.environment), folder=folder)


def _same(one: Path, other: Path) -> bool:
    """Equal for the guest: every byte of a raw disk; for qcow2 qemu-img is the judge."""
    command = ["cmp", "-s"] if one.suffix == ".raw" else ["qemu-img", "compare", "-q"]
    return subprocess.run([*command, one, other], check=False).returncode == 0


def _check_allocation(original: Path, copy: Path) -> None:
    """A restored disk takes no more than the blocks of its original that are not zero."""
    if original.suffix != ".raw":
        return
    most = nonzero_bytes(original) + MIB
    if allocated(copy) > most:
        raise BenchError(f"`{copy}` takes {allocated(copy)} bytes, its original holds {most}")


def nonzero_bytes(disk: Path) -> int:
    """Bytes of the 64 KiB blocks of a disk that hold anything."""
    found, zero = 0, bytes(BLOCK)
    with disk.open("rb", buffering=0) as file:
        size = disk.stat().st_size
        seen = -1
        for start, end in data_ranges(file.fileno()):
            for at in range(start - start % BLOCK, min(end + -end % BLOCK, size), BLOCK):
                if at <= seen:
                    continue
                seen = at
                file.seek(at)
                block = file.read(BLOCK)
                found += block != zero[: len(block)] and len(block)
    return found


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
