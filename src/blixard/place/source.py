"""An input from a file, device, FIFO or stdin: all that has a descriptor."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from blixard import files
from blixard.closing import Closing
from blixard.errors import StorageError, UsageError
from blixard.place.names import is_standard
from blixard.place.standard import standard_input
from blixard.ports import Input


class FileInput(Closing):
    """`ports.Input` of an open descriptor, which it owns."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self.size = _size_of(fd)
        self.stream = files.buffered_source(files.SourceStream(fd, name))
        self._fd = fd

    @property
    def seekable(self) -> bool:
        """See `Input.seekable`."""
        return self.size is not None

    def read_at(self, offset: int, n: int) -> bytes:
        """See `Input.read_at`."""
        if self.stream.closed:
            raise ValueError(f"`{self.name}` is closed")
        if not self.seekable:
            raise io.UnsupportedOperation(f"`{self.name}` cannot seek")
        return files.pread(self._fd, n, offset, self.name)

    def close(self) -> None:
        """See `Input.close`."""
        self.stream.close()


def _size_of(fd: int) -> int | None:
    """The size of what can seek, with the position moved to its start; None for a pipe."""
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        return None
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        # a redirected stdin may stand anywhere; what counts is the whole file, as with a name
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        return None  # some files of /proc
    return size


def open_input(source: str) -> Input:
    """The input that `source` means: `-` for stdin, else a path (a symlink is followed: the operator named it).

    Raises:
        UsageError: stdin is a terminal, or the path is a directory.
        StorageError: it is not there or cannot be read.
    """
    if is_standard(source):
        return FileInput(standard_input(), "standard input")
    path = Path(source)
    if files.is_dir(path):
        raise UsageError(f"`{source}` is a directory", hint="name the export file in it")
    if not files.is_there(path):
        raise StorageError(f"cannot read `{source}`: no such file", hint=_where(path))
    with files.translated("open", path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    return FileInput(fd, source)


def _where(path: Path) -> str | None:
    if path.is_absolute():
        return None
    return f"looked for `{path.absolute()}`"
