"""Pick the place that an output's name means, and refuse the names that would surprise.

A symlink at the target is refused: a rename would replace the link and leave the file it pointed to, writing through it
would give up the atomic replacement, and in a shared directory somebody else chose where it points.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from blixard import files
from blixard.errors import RefusedError, StorageError, UsageError
from blixard.place.names import is_standard, pointed_to
from blixard.place.path import FileOutput
from blixard.place.standard import standard_output
from blixard.place.stream import StreamOutput, open_device
from blixard.ports import Input, Output


def open_output(target: str, *, journal: files.Journal | None) -> Output:
    """The output that `target` means: `-` for stdout, a path of a regular file, or a FIFO or device that exists.

    Args:
        target: as the operator gave it.
        journal: of the data directory, so that a killed command's temporary file can be removed by the next.

    Raises:
        UsageError: stdout is a terminal, or the path is a directory.
        RefusedError: the path is a symlink.
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
        return FileOutput(path, journal=journal)
    if stat.S_ISLNK(mode):
        raise a_link(target)
    if stat.S_ISDIR(mode):
        raise _a_directory(target, "backup.json.gz")
    if stat.S_ISSOCK(mode):
        raise UsageError(f"`{path}` is a socket, which cannot be written to as a file")
    if stat.S_ISREG(mode):
        return FileOutput(path, journal=journal)
    return StreamOutput(open_device(path), os.fspath(path), owned=True)


def a_link(name: str) -> RefusedError:
    """The refusal of a symbolic link where a file is to be written: what it leads to was not named."""
    return RefusedError(
        f"`{name}` is a symbolic link, and is not written through", hint=f"name the file itself: `{pointed_to(name)}`"
    )


def _a_directory(name: str, example: str) -> UsageError:
    """The refusal of a directory where a file is to be written, which may be called `example`."""
    return UsageError(f"`{name}` is a directory", hint=f"name a file in it: `{Path(name, example)}`")


def replacing_output(given: Input, *, journal: files.Journal | None) -> Output:
    """An output that replaces the file that `given` was read from, and keeps its mode.

    Raises:
        StorageError: it is not there, or its directory is not writable.
    """
    path = Path(given.name)
    with files.translated("examine", path):
        mode = stat.S_IMODE(path.stat().st_mode)
    return FileOutput(path, journal=journal, mode=mode)


def check_disk(name: str, *, clobber: bool) -> None:
    """Stop when a disk cannot be written at `name`: unlike a document it needs a regular file, to write in any order.

    Raises:
        UsageError: it is a directory, or neither a file nor free.
        RefusedError: it is a symlink, or exists with `clobber` off.
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
