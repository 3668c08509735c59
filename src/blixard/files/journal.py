"""Names of temporary files, noted in the data directory before they are made.

A killed export cannot clean up after itself, and in somebody's backup directory nothing may be deleted because its name
looks like ours: the next writing command removes exactly what an entry names and whose entry's lock nobody holds.

An interrupted one can: Ctrl-C may come between a call that made something and whoever was to keep it, where no `with`
knows of it yet, so the process remembers what it noted before it is made, and `clean_up` removes what is left of that.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

import msgspec

from blixard.errors import LimitExceeded, StorageError
from blixard.files.descriptors import OwnedDescriptor, fsync, read_bytes, write_all
from blixard.files.locks import hold
from blixard.files.paths import fsync_dir, make_dir, unlink
from blixard.files.seam import translated

_TEMPORARY = re.compile(r"\.blixard-[0-9a-f]{16}\.tmp")
_ENTRY_LIMIT = 1 << 16
_SWEEP_SECONDS = 5
"""A sweep that met our entry before we locked it is done with it in less."""

_open: dict[Path, Path] = {}
"""Entries of this process that are not closed, and the temporary files that they name."""


class _Noted(msgspec.Struct, frozen=True):
    folder: str
    name: str


class JournalEntry(OwnedDescriptor):
    """One noted name; `close` when the file with that name is gone or has become what it should."""

    def __init__(self, path: Path, fd: int, temporary: Path) -> None:
        super().__init__(fd)
        self._path = path
        self.temporary = temporary

    def close(self) -> None:
        """Forget the name.

        Raises:
            StorageError: the entry cannot be removed; a sweep will.
        """
        if self._fd < 0:
            return
        try:
            unlink(self._path, missing_ok=True)
            _open.pop(self._path, None)
        finally:
            self.leave()

    def leave(self) -> None:
        """Leave the entry to the next sweep."""
        super().close()


class Journal:
    """The folder of entries; `sweep` it at the start of every command that writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, folder: Path) -> JournalEntry:
        """Choose a name for a temporary file in `folder` and note it, durably.

        Raises:
            StorageError: the entry cannot be written; nothing is left.
        """
        make_dir(self._folder)
        temporary = folder.resolve() / temporary_name()
        path = self._folder / f"{os.urandom(8).hex()}.json"
        _open[path] = temporary
        fd = hold(path, fcntl.LOCK_EX, _SWEEP_SECONDS)
        if fd is None:
            raise StorageError(f"cannot lock `{path}`: another process holds it")
        entry = JournalEntry(path, fd, temporary)
        try:
            write_all(fd, msgspec.json.encode(_Noted(os.fspath(temporary.parent), temporary.name)), path)
            fsync(fd, path)
            fsync_dir(self._folder)
        except BaseException:
            with suppress(StorageError):
                entry.close()
            raise
        return entry

    def sweep(self) -> tuple[Path, ...]:
        """Remove what killed commands left, and return the names.

        Entries in use are left alone; what cannot be removed now is kept for the next sweep, because a backup
        directory that has become read-only must not stop an export to another one.
        """
        removed: list[Path] = []
        for path in self._entries():
            with suppress(StorageError):
                removed += self._sweep_entry(path)
        return tuple(removed)

    def _entries(self) -> list[Path]:
        with translated("list", self._folder):
            try:
                return sorted(self._folder.iterdir())
            except FileNotFoundError:
                return []

    def _sweep_entry(self, path: Path) -> list[Path]:
        fd = hold(path, fcntl.LOCK_EX, 0)
        if fd is None:
            return []
        try:
            leftover = _leftover(path)
            if leftover is not None:
                unlink(leftover, missing_ok=True)
            unlink(path, missing_ok=True)
        finally:
            os.close(fd)
        return [leftover] if leftover is not None else []


def clean_up() -> None:
    """Remove what this process has noted and not closed: when a command was interrupted, and nothing of it goes on."""
    for entry, temporary in list(_open.items()):
        with suppress(StorageError):  # the next sweep will
            unlink(temporary, missing_ok=True)
            unlink(entry, missing_ok=True)
            del _open[entry]


def temporary_name() -> str:
    """A new name as only blixard makes them, independent of the target's, which may be as long as the system allows."""
    return f".blixard-{os.urandom(8).hex()}.tmp"


def _leftover(entry: Path) -> Path | None:
    """The file that an entry names, when it is there and can be nothing but ours."""
    try:
        noted = msgspec.json.decode(read_bytes(entry, _ENTRY_LIMIT), type=_Noted)
    except (msgspec.DecodeError, LimitExceeded):
        return None  # killed before the entry was whole, so before the file was made
    path = Path(noted.folder) / noted.name
    if not _TEMPORARY.fullmatch(noted.name) or path.is_symlink() or not path.is_file():
        return None
    return path
