"""The layout of `state.db`, as the steps that lead to it: one function per step, the table at the foot.

A new database takes all steps from 0, an old one the steps that it misses, after a copy was kept; so there is one way
to any layout. A database from the future is refused, because half understood is worse than not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from blixard import files
from blixard.errors import UnsupportedVersion
from blixard.files.database import Database

Step = Callable[[Database], None]


def migrate(database: Database, steps: Sequence[Step]) -> None:
    """Bring `database` to schema number `len(steps)`, in one transaction.

    Raises:
        UnsupportedVersion: it was made by a newer blixard.
        StorageError: it is as it was.
    """
    if _number(database, steps) == len(steps):
        return
    with database.writing():
        number = _number(database, steps)  # another process may have migrated meanwhile
        if number:
            _keep_copy(database, number)
        for step in steps[number:]:
            step(database)
        database.write(f"PRAGMA user_version = {len(steps)}")


def copy_path(path: Path, number: int) -> Path:
    """Where the copy of a database of schema `number` is kept."""
    return path.with_name(f"{path.name}.schema-{number}")


def _number(database: Database, steps: Sequence[Step]) -> int:
    [(number,)] = database.read("PRAGMA user_version")
    if number > len(steps):
        raise UnsupportedVersion(
            f"`{database.path}` has schema {number}, this version of blixard knows up to {len(steps)}",
            hint="update blixard on this host",
        )
    return int(number)


def _keep_copy(database: Database, number: int) -> None:
    kept = copy_path(database.path, number)
    unfinished = kept.with_name(kept.name + ".new")
    database.copy_to(unfinished)
    files.rename(unfinished, kept)
    files.fsync_dir(kept.parent)


def _state_1(database: Database) -> None:
    """The first layout. Ids of nodes and revisions are text: they are u64, and SQLite's integers are signed."""
    database.script("""
CREATE TABLE cluster (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    revision TEXT NOT NULL,
    self_node TEXT NOT NULL,
    provenance BLOB
);
CREATE TABLE nodes (id TEXT PRIMARY KEY, json BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE vms (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, json BLOB NOT NULL);
CREATE TABLE contents (
    vm_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (vm_id, kind, name)
) WITHOUT ROWID;
CREATE TABLE undo (id INTEGER PRIMARY KEY AUTOINCREMENT, pinned INTEGER NOT NULL, summary BLOB NOT NULL,
    json BLOB NOT NULL);
CREATE TABLE imports (id TEXT PRIMARY KEY, done INTEGER NOT NULL, json BLOB NOT NULL);
CREATE TABLE outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, json BLOB NOT NULL);
""")


def _history_1(database: Database) -> None:
    """The first layout. `key` makes delivery from the outbox repeatable; the triggers make append-only true."""
    database.script("""
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT UNIQUE,
    verb TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    document TEXT,
    images INTEGER NOT NULL,
    json BLOB NOT NULL
);
CREATE INDEX entries_by_document ON entries (document);
CREATE INDEX entries_by_verb ON entries (verb, exit_code);
CREATE TRIGGER entries_stay BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER entries_keep BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
""")


STATE_STEPS: tuple[Step, ...] = (_state_1,)
HISTORY_STEPS: tuple[Step, ...] = (_history_1,)
