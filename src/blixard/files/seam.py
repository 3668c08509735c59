"""The one place that every mutating file operation passes, and where an OSError becomes a StorageError.

Tests install an observer and then count, fail or kill at operation N; that is how "old or new, at every operation" is
proven rather than hoped for. Without an observer the seam costs one comparison.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blixard.errors import StorageError

Observer = Callable[[str, str], None]
"""Called with the operation and the path before the operation runs; it may raise OSError, or never return."""

AnyPath = str | os.PathLike[str]

ROOM_HINT = "free some space there; `blixard cluster gc` shows what blixard itself holds"
_HINTS = {
    errno.ENOSPC: ROOM_HINT,
    errno.EDQUOT: "the disk quota of this user is used up; free some space or have it raised",
    errno.EACCES: "run as a user who may do that there, or correct the owner and mode",
    errno.EPERM: "run as a user who may do that there, or correct the owner and mode",
    errno.EROFS: "the file system is mounted read-only; after an I/O error the kernel does that by itself, see `dmesg`",
    errno.EIO: "the device reported an I/O error, see `dmesg`",
    errno.EMFILE: "too many open files; raise `ulimit -n`",
    errno.ENFILE: "too many open files on this host; raise `fs.file-max`",
    errno.EFBIG: "the file system or `ulimit -f` does not allow a file of this size",
    errno.ELOOP: "a symbolic link stands there, and blixard does not follow it",
    errno.ENAMETOOLONG: "use a shorter name",
}


class _Seam:
    """Holder of the observer: a module global that can be swapped without `global`."""

    observer: Observer | None = None


@contextmanager
def observe(callback: Observer) -> Iterator[None]:
    """Inside, `callback` is told of every operation; afterwards the earlier observer is, if there was one."""
    earlier, _Seam.observer = _Seam.observer, callback
    try:
        yield
    finally:
        _Seam.observer = earlier


def before(operation: str, path: AnyPath) -> None:
    """Announce a mutating operation. Call it inside the `try` that translates OSError."""
    if _Seam.observer is not None:
        _Seam.observer(operation, os.fspath(path))


@contextmanager
def translated(operation: str, path: AnyPath) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError that names the operation and the path."""
    try:
        yield
    except OSError as error:
        raise storage_error(operation, path, error) from error


@contextmanager
def mutating(operation: str, path: AnyPath) -> Iterator[None]:
    """Like `translated`, for an operation that changes a file: the observer is told of it first."""
    try:
        before(operation, path)
        yield
    except OSError as error:
        raise storage_error(operation, path, error) from error


def storage_error(operation: str, path: AnyPath, error: OSError) -> StorageError:
    """The StorageError for `error`; raise it `from error`, so that the number stays with it."""
    number = error.errno or 0
    text = os.strerror(number) if number else str(error)
    hint = _HINTS.get(number)
    if number == errno.ENOENT and not os.path.isdir(Path(path).parent):  # noqa: PTH112 - never raises
        hint = f"the directory `{Path(path).parent}` does not exist"
    return StorageError(f"cannot {operation} `{os.fspath(path)}`: {text[:1].lower()}{text[1:]}", hint=hint)
