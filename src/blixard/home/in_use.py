"""Which processes have a disk file open: a VM that runs outside blixard, a mount, a forgotten qemu-nbd.

By device and inode through /proc, because the other side may know the file under another name. As a normal user only
one's own processes show: this is a help against accidents, not a lock.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_LOOPS = Path("/sys/block")

Identity = tuple[int, int]
"""Device and inode."""


class DiskUser(msgspec.Struct, frozen=True):
    """A process that has the file open; pid 0 is the kernel (a loop device, named in `command`)."""

    pid: int
    command: str


def in_use(path: Path) -> list[DiskUser]:
    """The other processes that have the file at `path` open."""
    return users_of([path]).get(path, [])


def users_of(paths: Iterable[Path]) -> dict[Path, list[DiskUser]]:
    """`in_use` of many files in one walk through /proc; files that nobody uses, or that are not there, are left out."""
    wanted: dict[Identity, list[Path]] = {}
    for path in paths:
        with suppress(OSError):
            wanted.setdefault(_identity(path.stat()), []).append(path)
    found: dict[Path, list[DiskUser]] = {}
    if not wanted:
        return found
    for identity, user in chain(_open_files(wanted), _loop_devices(wanted)):
        for path in wanted[identity]:
            users = found.setdefault(path, [])
            if user not in users:
                users.append(user)
    return found


def _identity(about: os.stat_result) -> Identity:
    """Device and inode; of a device node, what it stands for, since it may have several nodes."""
    if stat.S_ISBLK(about.st_mode):
        return (-1, about.st_rdev)
    return (about.st_dev, about.st_ino)


def _open_files(wanted: Container[Identity]) -> Iterator[tuple[Identity, DiskUser]]:
    for process in _PROC.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        # a process may end, or belong to somebody else: then it has nothing to tell us
        with suppress(OSError):
            for descriptor in os.scandir(process / "fd"):
                with suppress(OSError):
                    identity = _identity(descriptor.stat())
                    if identity in wanted:
                        yield identity, DiskUser(int(process.name), _command(process))


def _command(process: Path) -> str:
    with suppress(OSError):
        words = (process / "cmdline").read_bytes().split(b"\0")
        return " ".join(word.decode(errors="replace") for word in words if word)[:200]
    return "?"


def _loop_devices(wanted: Container[Identity]) -> Iterator[tuple[Identity, DiskUser]]:
    """Files that loop devices hold (mounted images): the kernel has them open, and no process does."""
    for backing in _LOOPS.glob("loop*/loop/backing_file"):
        with suppress(OSError):
            identity = _identity(Path(backing.read_text().rstrip("\n")).stat())
            if identity in wanted:
                yield identity, DiskUser(0, f"/dev/{backing.parent.parent.name}")
