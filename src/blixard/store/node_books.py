"""What one node keeps for itself: the imports that it has begun, and history entries that are not in its history yet.

Tables of the embedded store's file, so that a change of the state and what the books say of it are one transaction.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from blixard.closing import Closing
from blixard.errors import Conflict
from blixard.files.database import Database
from blixard.model.changes import ImportRow, StateChange
from blixard.model.structs import JsonObject
from blixard.store.rows import structs_of

_encode = msgspec.json.Encoder().encode


class SqliteBooks(Closing):
    """`NodeBooks` in a database that has the tables `imports` and `outbox`; `close` closes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_import(self, row: ImportRow) -> None:
        """See `NodeBooks.begin_import`."""
        self._database.write("INSERT OR REPLACE INTO imports VALUES (?, ?, ?)", (row.id, row.done, _encode(row)))

    def imports(self) -> tuple[ImportRow, ...]:
        """See `NodeBooks.imports`."""
        rows = self._database.read("SELECT json, done FROM imports ORDER BY rowid")
        found = structs_of(self._database, rows, ImportRow)
        return tuple(msgspec.structs.replace(each, done=bool(row[1])) for row, each in zip(rows, found, strict=True))

    def forget_import(self, import_id: str) -> None:
        """See `NodeBooks.forget_import`."""
        self._database.write("DELETE FROM imports WHERE id = ?", (import_id,))

    def history_outbox(self) -> tuple[tuple[str, JsonObject], ...]:
        """See `NodeBooks.history_outbox`."""
        rows = self._database.read("SELECT key, json FROM outbox ORDER BY position")
        return tuple((key, msgspec.json.decode(text)) for key, text in rows)

    def clear_history_outbox(self, keys: Iterable[str]) -> None:
        """See `NodeBooks.clear_history_outbox`."""
        with self._database.writing():
            self._database.write_many("DELETE FROM outbox WHERE key = ?", [(key,) for key in keys])

    def write_down(self, change: StateChange) -> None:
        """Note that `change` is applied: its import is done, its history entry waits. Called in its transaction.

        Raises:
            Conflict: its import was given up.
        """
        write = self._database.write
        if change.import_done is not None and not write(
            "UPDATE imports SET done = 1 WHERE id = ?", (change.import_done,)
        ):
            raise Conflict(
                f"import `{change.import_done}` is not under way any more: what it staged was given up",
                hint="import again",
            )
        if change.history is not None:
            write("INSERT INTO outbox (key, json) VALUES (?, ?)", (os.urandom(16).hex(), _encode(change.history)))

    def close(self) -> None:
        """Release the database."""
        self._database.close()
