"""Copy a disk cheaply: share its blocks where the file system can, else copy only what is stored.

A reflink of 100 GiB takes milliseconds and no space; the copy behind it skips holes twice, by SEEK_DATA and by looking,
because some file systems report everything as data.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from blixard.files.descriptors import fsync, pwrite_all, truncate
from blixard.files.holes import data_ranges
from blixard.files.paths import create, fsync_dir, unlink
from blixard.files.seam import before, storage_error, translated

_FICLONE = 0x40049409
_STEP = 8 << 20
_BLOCK = 64 << 10
_ZEROS = bytes(_BLOCK)
_NOT_HERE = {
    errno.EOPNOTSUPP,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EISDIR,
    errno.ETXTBSY,
    errno.EPERM,
    errno.EACCES,
    errno.EBADF,
}
Advance = Callable[[int], None]


def reflink_or_copy(source: Path | int, target: Path, *, advance: Advance | None = None) -> bool:
    """Make `target`, a new durable file with the content of `source`; True when it shares the blocks of `source`.

    Args:
        source: a file or block device, by path (symlinks are followed: the operator named it) or by open descriptor.
        target: must not exist, and is private; on failure nothing is left there.
        advance: called with numbers of bytes that are done, holes included; they add up to the size.

    Raises:
        StorageError: naming the path that failed.
    """
    name = Path(f"/proc/self/fd/{source}") if isinstance(source, int) else source
    with translated("open", name):
        reading = os.dup(source) if isinstance(source, int) else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = create(target)
        try:
            shared = _fill(_Open(reading, name), _Open(writing, target), advance or (lambda _amount: None))
            fsync(writing, target)
        except BaseException:
            unlink(target, missing_ok=True)
            raise
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    fsync_dir(target.parent)
    return shared


class _Open(msgspec.Struct, frozen=True):
    """An open file and the name that errors give it."""

    fd: int
    path: Path


def _fill(source: _Open, target: _Open, advance: Advance) -> bool:
    with translated("read", source.path):
        size = os.lseek(source.fd, 0, os.SEEK_END)
    if _reflink(source, target):
        advance(size)
        return True
    truncate(target.fd, size, target.path)
    at = 0
    for start, end in data_ranges(source.fd, 0, size, source.path):
        advance(start - at)
        _copy_run(source, target, range(start, end), advance)
        at = end
    advance(size - at)
    return False


def _reflink(source: _Open, target: _Open) -> bool:
    try:
        before("reflink", target.path)
        fcntl.ioctl(target.fd, _FICLONE, source.fd)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return False
        raise storage_error("reflink", target.path, error) from error
    return True


def _copy_run(source: _Open, target: _Open, run: range, advance: Advance) -> None:
    for at in range(run.start, run.stop, _STEP):
        end = min(at + _STEP, run.stop)
        position = at
        while position < end:
            done = _copy_in_kernel(source, target, position, end - position)
            done = done or _copy_by_hand(source, target, position, end - position)
            if not done:
                return  # the source became shorter meanwhile; the target keeps zeros there
            position += done
        advance(end - at)


def _copy_in_kernel(source: _Open, target: _Open, at: int, length: int) -> int:
    try:
        before("write", target.path)
        return os.copy_file_range(source.fd, target.fd, length, at, at)
    except OSError as error:
        if error.errno in _NOT_HERE or error.errno == errno.EIO:
            return 0  # after EIO the copy by hand finds out which side it was
        raise storage_error("write", target.path, error) from error


def _copy_by_hand(source: _Open, target: _Open, at: int, length: int) -> int:
    with translated("read", source.path):
        data = os.pread(source.fd, length, at)
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        if block != _ZEROS[: len(block)]:
            pwrite_all(target.fd, block, at + start, target.path)
    return len(data)
