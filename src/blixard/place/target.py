"""Pick the place that an output's name means, and refuse the names that would surprise.

A symlink at the target is refused: a rename would replace the link and leave the file it pointed to, writing through it
would give up the atomic replacement, and in a shared directory somebody else chose where it points.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from blixard import files
from blixard.errors import RefusedError, StorageError, UsageError
from blixard.home import Home
from blixard.place.names import is_standard, pointed_to, same_place
from blixard.place.path import FileOutput
from blixard.place.standard import standard_output
from blixard.place.stream import StreamOutput, open_device
from blixard.ports import Input, Output


def open_output(target: str, *, home: Home, apart_from: Iterable[str] = ()) -> Output:
    """The output that `target` means: `-` for stdout, a path of a regular file, or a FIFO or device that exists.

    Args:
        target: as the operator gave it.
        home: the data directory, which is not written into; there a temporary name is noted, so that the next command
            can remove what a killed one left.
        apart_from: names of what the same command reads or writes: none of them may be the same file.

    Raises:
        UsageError: stdout is a terminal, or the path is a directory, or one of `apart_from`.
        RefusedError: the path is a symlink, or what blixard or a VM works with.
        StorageError: it cannot be opened, or its directory is missing or not writable.
    """
    if is_standard(target):
        return standard_output()
    path = Path(target)
    mode = files.mode_of(path, follow=False)
    if mode is None:
        if not path.name or target.endswith("/"):
            raise _a_directory(target, "backup.json.gz")
        _check_parent(path)
        _check_apart(target, home, apart_from)
        return FileOutput(path, journal=home.journal_here)
    if stat.S_ISLNK(mode):
        raise a_link(target)
    if stat.S_ISDIR(mode):
        raise _a_directory(target, "backup.json.gz")
    if stat.S_ISSOCK(mode):
        raise UsageError(f"`{path}` is a socket, which cannot be written to as a file")
    _check_apart(target, home, apart_from)
    if stat.S_ISREG(mode):
        return FileOutput(path, journal=home.journal_here)
    return StreamOutput(open_device(path), os.fspath(path), owned=True)


def a_link(name: str) -> RefusedError:
    """The refusal of a symbolic link where a file is to be written: what it leads to was not named."""
    return RefusedError(
        f"`{name}` is a symbolic link, and is not written through", hint=f"name the file itself: `{pointed_to(name)}`"
    )


def _a_directory(name: str, example: str) -> UsageError:
    """The refusal of a directory where a file is to be written, which may be called `example`."""
    return UsageError(f"`{name}` is a directory", hint=f"name a file in it: `{Path(name, example)}`")


def replacing_output(given: Input, *, home: Home) -> Output:
    """An output that replaces the file that `given` was read from, and keeps its mode.

    Raises:
        RefusedError: it is what blixard or a VM works with.
        StorageError: it is not there, or its directory is not writable.
    """
    path = Path(given.name)
    with files.translated("examine", path):
        mode = stat.S_IMODE(path.stat().st_mode)
    home.refuse_own(path)
    return FileOutput(path, journal=home.journal_here, mode=mode)


def check_disk(name: str, *, clobber: bool, home: Home, apart_from: Iterable[str] = ()) -> None:
    """Stop when a disk cannot be written at `name`: unlike a document it needs a regular file, to write in any order.

    Raises:
        UsageError: it is a directory, or neither a file nor free, or one of `apart_from`.
        RefusedError: it is a symlink, or what blixard or a VM works with, or exists with `clobber` off.
        StorageError: its directory is missing.
    """
    path = Path(name)
    if path.is_symlink():
        raise a_link(name)
    if path.is_dir() or name.endswith("/"):
        raise _a_directory(name, "disk.qcow2")
    if path.exists():
        if not path.is_file():
            raise UsageError(f"`{path}` is not a regular file", hint="extract to a file, and copy that")
        if not clobber:
            raise RefusedError(f"`{path}` exists", hint="leave out `--no-clobber` to replace it")
    _check_parent(path)
    _check_apart(name, home, apart_from)


def _check_apart(name: str, home: Home, others: Iterable[str]) -> None:
    """Writing replaces a file: it must be none that the same command reads or writes, and none that is worked with."""
    for other in others:
        if same_place(name, other):
            raise UsageError(f"`{name}` is read or written by this very command", hint="name another file")
    home.refuse_own(Path(name))


def _check_parent(path: Path) -> None:
    """Stop when a file cannot be written because there is no directory for it.

    Raises:
        StorageError: with how to make it.
    """
    if files.is_dir(path.parent):
        return
    if files.is_there(path.parent):
        raise StorageError(f"cannot write `{path}`: `{path.parent}` is not a directory")
    raise StorageError(
        f"cannot write `{path}`: the directory `{path.parent}` does not exist",
        hint=f"make it first: `mkdir -p {path.parent}`",
    )
