"""SQLite files, opened one way: private, durable, and with errors that say what to do.

Not exported by the package: `import sqlite3` costs a start-up that most commands do not need. SQLite writes its file
itself, so the seam announces statements instead of writes; real full disks are tested with a real full disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from blixard.errors import StorageError, StoreDamaged, StoreUnavailable
from blixard.files.paths import create, fsync_dir, is_file, is_there, make_file
from blixard.files.seam import ROOM_HINT, before, storage_error

BUSY_SECONDS = 20.0
_PAGE_BYTES = 16 << 10
"""A VM's row is about 1 KiB: in pages of 4 KiB, 100,000 of them cost 0.3 s more CPU and 0.5 s more wall (measured)."""
_CACHE_KIB = 64 << 10
"""A large transaction stays in memory until its commit, instead of being written in between and again at its end."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_HINTS = {
    sqlite3.SQLITE_FULL: ROOM_HINT,
    sqlite3.SQLITE_IOERR: "the device reported an I/O error or is full, see `dmesg` and `df`",
    sqlite3.SQLITE_READONLY: "the file or its file system is read-only, or belongs to another user",
    sqlite3.SQLITE_CANTOPEN: "see that the file exists and that this user may open it, and write beside it",
}


class Database:
    """The SQLite database in the file `path`; used by one thread. `make` makes it, private, when it is missing.

    Raises:
        StorageError: it cannot be opened, or is not a database.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        if make and not is_there(path):
            make_file(path)
            fsync_dir(path.parent)
        elif not is_file(path):
            raise StorageError(f"cannot open `{path}`: no such file", hint=_HINTS[sqlite3.SQLITE_CANTOPEN])
        with self._translated():
            try:
                self._connection = _connect(path)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_IOERR_SHMSIZE:
                    raise
                self._connection = _connect(path, alone=True)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query, as tuples.

        Raises:
            StorageError: as every method here; `StoreUnavailable` when another process keeps the database busy.
        """
        with self._translated():
            return self._connection.execute(sql, parameters).fetchall()

    def read_in_turns(self, sql: str, size: int) -> Iterator[list[Any]]:
        """The rows of a query, `size` at a time; inside `reading`, so that they are of one state."""
        with self._translated():
            cursor = self._connection.execute(sql)
        while True:
            with self._translated():
                rows = cursor.fetchmany(size)
            if not rows:
                return
            yield rows

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; return the number of rows that it changed."""
        with self._translated():
            self._announce(sql)
            return self._connection.execute(sql, parameters).rowcount

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run one statement for each of `rows`; return the number of rows that all of them changed."""
        with self._translated():
            self._announce(sql)
            return self._connection.executemany(sql, rows).rowcount

    def script(self, sql: str) -> None:
        """Run statements without parameters, each for itself unless a transaction is open."""
        for statement in sql.split(";\n"):
            if statement.strip():
                self.write(statement)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction: all of the block or nothing, and nobody else writes meanwhile."""
        self.write("BEGIN IMMEDIATE")
        try:
            yield
            self.write("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A transaction in which all queries see one state, without keeping anybody from writing."""
        with self._translated():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def copy_to(self, path: Path) -> None:
        """Write a whole copy of what is committed to the new file `path`, mode 0600; durable when this returns."""
        os.close(create(path, exclusive=False))
        with self._translated():
            source, copy = sqlite3.connect(self.path), sqlite3.connect(path)
            try:
                copy.execute("PRAGMA synchronous = FULL")
                source.backup(copy)
            finally:
                copy.close()
                source.close()
        fsync_dir(path.parent)

    def damaged(self, problem: str) -> StoreDamaged:
        """The error for a database whose content makes no sense."""
        hint = (
            "keep that file, and import the newest export under another name: `blixard cluster import -i FILE -c NAME`"
        )
        return StoreDamaged(f"`{self.path}` is damaged: {problem}", hint=hint)

    def close(self) -> None:
        """Release the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _roll_back(self) -> None:
        # SQLite may have rolled back by itself, after an I/O error for example
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _announce(self, sql: str) -> None:
        before("run " + sql.split(maxsplit=1)[0], self.path)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error
        except OSError as error:
            raise storage_error("write", self.path, error) from error

    def _error(self, error: sqlite3.Error) -> StorageError:
        # sqlite3.ProgrammingError, a bug of ours, has no code
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreUnavailable(
                f"`{self.path}` is kept busy by another process", hint="try again when that one is done"
            )
        if code in _DAMAGED:
            return self.damaged(str(error))
        return StorageError(f"cannot use `{self.path}`: {error}", hint=_HINTS.get(code))


def _connect(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """Open the database. With `alone` no other process may until it is closed; the index of the log needs no file then.

    On a full file system there is no room for that file, and without it not even `cluster gc` could look for room.
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=32)
    try:
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # only a file that is still empty takes it
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection
