"""Locks between processes: flock, so that a kill releases them, with the holder's name for the one who must wait.

The kernel's list (/proc/locks) says who holds a lock, the lock file says what for. What the file says is only for
people: it is written as well as possible and never decides anything.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from blixard.errors import Locked, StorageError
from blixard.files.descriptors import OwnedDescriptor, pwrite_all
from blixard.files.paths import create, open_existing

_NOTE_BYTES = 512
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock: `verb` is the command, `since` an RFC 3339 time or empty when nobody noted it."""

    pid: int
    verb: str
    since: str = ""


class HeldLock(OwnedDescriptor):
    """A lock that is held until `close`, the end of the `with` block, or the end of the process."""


class FileLock:
    """A lock named by a file that stays.

    Args:
        path: of the lock file; it is made when missing, its directory is not.
        subject: what people call that which is locked (``cluster `web` ``).
        verb: what we want the lock for, shown to others (`cluster import`).
    """

    def __init__(self, path: Path, *, subject: str, verb: str) -> None:
        self.path = path
        self._subject = subject
        self._verb = verb

    def shared(self, wait_seconds: float = 0) -> HeldLock:
        """Hold it together with other sharers.

        Raises:
            Locked: somebody holds it alone, still after `wait_seconds`.
            StorageError: the lock file cannot be opened.
        """
        return self._acquire(fcntl.LOCK_SH, wait_seconds)

    def exclusive(self, wait_seconds: float = 0) -> HeldLock:
        """Hold it alone.

        Raises:
            Locked: somebody else holds it, still after `wait_seconds`.
            StorageError: the lock file cannot be opened.
        """
        return self._acquire(fcntl.LOCK_EX, wait_seconds)

    def holders(self) -> tuple[Holder, ...]:
        """Who holds it now, as far as the kernel shows them to us."""
        try:
            about = self.path.stat()
            note = _read_note(self.path)
        except OSError:
            return ()
        pids = _pids_holding(about.st_dev, about.st_ino)
        if not pids and note is not None and Path(f"/proc/{note.pid}").exists():
            return (note,)  # /proc/locks shows nothing in some containers
        return tuple(note if note and note.pid == pid else Holder(pid, _command_of(pid)) for pid in pids)

    def _acquire(self, kind: int, wait_seconds: float) -> HeldLock:
        fd = hold(self.path, kind, wait_seconds)
        if fd is None:
            raise self._locked()
        self._leave_note(fd)
        return HeldLock(fd)

    def _leave_note(self, fd: int) -> None:
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        note = msgspec.json.encode(Holder(os.getpid(), self._verb[:100], since))
        # a full disk must not keep `cluster gc` from its lock
        with suppress(StorageError):
            pwrite_all(fd, note.ljust(_NOTE_BYTES), 0, self.path)

    def _locked(self) -> Locked:
        holders = self.holders()
        names = ", ".join(
            f"`{each.verb}` (pid {each.pid}{', since ' + each.since if each.since else ''})" for each in holders[:4]
        )
        return Locked(
            f"{self._subject} is in use by {names or 'another process'}",
            hint="wait for it with `--lock-wait 10m`, or stop that process",
        )


def hold(path: Path, kind: int, wait_seconds: float) -> int | None:
    """Open (or make) the file at `path` and flock it; the descriptor holds the lock. None: still taken after the wait.

    The file is sure to be the one that the name means at the moment of the lock.

    Raises:
        StorageError: the file cannot be opened or made.
    """
    deadline = time.monotonic() + wait_seconds
    pause = _FIRST_PAUSE
    while True:
        fd = _open_lock_file(path)
        locked = _try(fd, kind, path)
        if locked and _still_there(fd, path):
            return fd
        os.close(fd)
        if locked:
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _open_lock_file(path: Path) -> int:
    while True:
        try:
            return open_existing(path)
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        try:
            return create(path)
        except StorageError as error:
            # somebody else made it in between: open theirs
            if not isinstance(error.__cause__, FileExistsError):
                raise


def _try(fd: int, kind: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        os.close(fd)
        raise StorageError(f"cannot lock `{path}`: {os.strerror(error.errno or 0).lower()}") from error
    return True


def _still_there(fd: int, path: Path) -> bool:
    """False when the lock file was removed or moved away between our open and our lock: that lock guards nothing."""
    ours = os.fstat(fd)
    try:
        now = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (now.st_dev, now.st_ino)


def _read_note(path: Path) -> Holder | None:
    with path.open("rb") as file:
        text = file.read(_NOTE_BYTES).rstrip()
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=Holder)
    return None


def _pids_holding(device: int, inode: int) -> list[int]:
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    pids: list[int] = []
    with suppress(OSError), Path("/proc/locks").open() as locks:
        for line in locks:
            # "1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF"; a waiter has "->" in the second column
            fields = line.split()
            if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == wanted:
                pids.append(int(fields[4]))
    return [pid for pid in dict.fromkeys(pids) if pid > 0]


def _command_of(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return " ".join(word.decode(errors="replace") for word in words[:3] if word)[:100] or "?"
    return "?"
