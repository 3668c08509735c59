"""Files that appear whole or not at all, private from their first byte. A kill leaves the old file or the new one.

The steps of `AtomicFile`, in order; at most one name can be left behind by a kill, and the journal knows it:

1. note the temporary name in the journal, where there is one (`__init__`);
2. open a file without a name (O_TMPFILE), or under the temporary one where the file system has none (`_open`);
3. write, handed to the disk along the way (`file`);
4. flush and fsync (`commit`);
5. have what was written read back and judged, if that is asked for (`_have_verified`);
6. give it the temporary name, and rename that over the target, since linkat cannot replace a file (`_take_name`);
7. fsync the directory (`_take_name`).

Then, or when a step failed, `_clear` removes the temporary name and the journal's note. `atomic_write` does the same
for small files with a temporary name that never changes.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blixard.closing import Closing
from blixard.errors import StorageError
from blixard.files.descriptors import fsync, truncate, write_all
from blixard.files.journal import Journal, JournalEntry, temporary_name
from blixard.files.locks import hold
from blixard.files.paths import fsync_dir, rename, unlink
from blixard.files.seam import AnyPath, before, mutating, storage_error, translated
from blixard.files.streams import SinkStream, buffered_sink
from blixard.files.write_back import WriteBack

_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}
_OTHER_WRITER_SECONDS = 10

Verify = Callable[[int], None]
"""Given a descriptor of the finished, synced file, positioned at 0; raises when the content is not good."""


class AtomicFile(Closing):
    """A new file for `target`, which keeps its old content until `commit`. Write to `file`.

    Args:
        target: the name to take; what has it is replaced. Whether it may be is the caller's decision.
        journal: where the temporary name is noted first; None when there is no data directory (a kill inside the last
            two system calls, or on a file system without O_TMPFILE, then leaves a hidden file behind).
        mode: exact, whatever the umask.

    Raises:
        StorageError: the directory is missing, not writable or full.
    """

    def __init__(self, target: Path, *, journal: Journal | None = None, mode: int = 0o600) -> None:
        self.target = target
        with translated("open", target.parent):
            # a descriptor, so that everything below happens in this directory even if its name is moved meanwhile
            self._folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._entry: JournalEntry | None = None
        self._fd: int | None = None
        self._has_name = False
        try:
            self._entry = journal.note(target.parent) if journal else None
            self._temporary = self._entry.temporary.name if self._entry else temporary_name()
            self._fd = self._open(mode)
        except BaseException:
            self._clear()
            raise
        self._write_back = WriteBack(self._fd, target)
        self._stream = SinkStream(self._fd, target, self._write_back)
        self.file = buffered_sink(self._stream)

    def commit(self, verify: Verify | None = None) -> None:
        """Make the content durable, have it verified, and give it its name.

        Args:
            verify: called between fsync and rename; the page cache is dropped first, so that it reads the disk.

        Raises:
            StorageError: the target is as it was, unless only the last step (fsync of the directory) failed.
        """
        if self._fd is None:
            raise ValueError("this file is committed or closed already")
        try:
            self.file.flush()
            self._write_back.close()
            self._write_back.check()
            fsync(self._fd, self.target)
            if verify is not None:
                _have_verified(self._fd, verify)
            self._take_name(self._fd)
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing but what the target is; nothing happens after `commit`."""
        if self._fd is None:
            return
        self._stream.discard()
        self.file.close()
        self._write_back.close()
        self._clear()

    def _open(self, mode: int) -> int:
        with mutating("create", self.target):
            fd = self._open_nameless(mode)
            if fd is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with self._naming():
                    fd = os.open(self._temporary, flags, mode, dir_fd=self._folder)
            os.fchmod(fd, mode)
            return fd

    def _open_nameless(self, mode: int) -> int | None:
        if not Path("/proc/self/fd").is_dir():
            return None  # without /proc, a file without a name can never get one
        try:
            before("create without a name", self.target)
            return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=self._folder)
        except OSError as error:
            if error.errno in _NO_TMPFILE:
                return None
            raise

    def _take_name(self, fd: int) -> None:
        if not self._has_name:
            with mutating("link", self.target), self._naming():
                # dst_dir_fd makes Python use linkat with AT_SYMLINK_FOLLOW; link() would link the symlink in /proc
                os.link(f"/proc/self/fd/{fd}", self._temporary, dst_dir_fd=self._folder)
        with mutating("rename", self.target):
            os.rename(self._temporary, self.target.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._has_name = False
        with mutating("fsync directory", self.target.parent):
            os.fsync(self._folder)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """The temporary name is being made: it counts as there, for an interrupt may come just behind that."""
        self._has_name = True
        try:
            yield
        except OSError:
            self._has_name = False
            raise

    def _clear(self) -> None:
        """Remove the temporary name, then its journal entry; what cannot be removed now, the next sweep removes."""
        if self._fd is not None:
            fd, self._fd = self._fd, None  # first: an interrupt in between must not have it closed twice
            os.close(fd)
        try:
            if self._has_name:
                before("unlink", self.target)
                with suppress(FileNotFoundError):  # interrupted just before it was there, or behind the rename
                    os.unlink(self._temporary, dir_fd=self._folder)
            if self._entry is not None:
                self._entry.close()
        except (OSError, StorageError):
            pass
        finally:
            if self._entry is not None:
                self._entry.leave()
            os.close(self._folder)


def atomic_write(path: AnyPath, data: bytes, mode: int = 0o600) -> None:
    """Write a small file whole or not at all; two writers at once are one after the other.

    The temporary name is always the same, `.NAME.new`, and flocked: what a kill leaves, the next write takes over.

    Raises:
        StorageError: `path` is as it was, unless only the last step (fsync of the directory) failed.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.new")
    fd = hold(temporary, fcntl.LOCK_EX, _OTHER_WRITER_SECONDS)
    if fd is None:
        raise StorageError(f"cannot write `{path}`: another process is writing it")
    try:
        _check_ours(fd, temporary)
        with mutating("change mode of", temporary):
            os.fchmod(fd, mode)
        truncate(fd, 0, temporary)
        write_all(fd, data, temporary)
        fsync(fd, temporary)
        rename(temporary, path)
    except BaseException:
        with suppress(StorageError):
            unlink(temporary, missing_ok=True)
        raise
    finally:
        os.close(fd)
    fsync_dir(path.parent)


def _check_ours(fd: int, path: Path) -> None:
    """Refuse a file that is not ours alone: where others may write, they may have put a file or a hard link there."""
    about = os.fstat(fd)
    if about.st_uid != os.geteuid() or about.st_nlink != 1:
        raise storage_error("write", path, OSError(errno.EPERM, "the file is not ours"))


def _have_verified(fd: int, verify: Verify) -> None:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    reading = os.dup(fd)
    try:
        os.lseek(reading, 0, os.SEEK_SET)
        verify(reading)
    finally:
        os.close(reading)
