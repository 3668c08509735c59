"""What was done to a cluster, by whom, with what result: append-only, failures included, kept for good.

It lies in its own file because it must outlive a replaced state. A change and its entry are still one: the entry goes
into the outbox of the node's books with the change, and is brought here afterwards, any number of times.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from blixard.closing import Closing
from blixard.files.database import Database
from blixard.model.structs import JsonObject
from blixard.store.sqlite.schema import HISTORY_STEPS, migrate

if TYPE_CHECKING:
    from blixard.ports import NodeBooks

_LONGEST_TEXT = 2000
"""Characters of an error or place that are kept: the history is never thinned out, so an entry stays small."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One command that did something, or failed to. Everything optional was not known or does not apply."""

    time: datetime
    verb: str
    """`cluster export`, `cluster import`, `vm delete`, ..."""
    exit_code: int
    os_user: str
    sudo_user: str | None = None
    host: str
    options: JsonObject = {}
    """As given, without secrets: whoever makes the entry has removed them."""
    scope: JsonObject | None = None
    document: str | None = None
    """Digest of the document that was read or written, hex."""
    place: str | None = None
    """Where the document was: a path, `-`, or a peer."""
    receivers: tuple[str, ...] = ()
    """Endpoint ids that fetched it."""
    error: str | None = None
    error_id: str | None = None
    warnings: tuple[str, ...] = ()
    """What else the operator was told: senders that were given up while others went on."""
    images: bool = False
    """The document holds the content of all disks in its scope."""
    vms: int | None = None
    size_bytes: int | None = None
    """Of the document as stored."""
    seconds: float | None = None
    revision: int | None = None
    """Of the state that was exported, or that was made."""
    import_id: str | None = None
    version: str | None = None
    """Of blixard."""


class Recorded(msgspec.Struct, frozen=True):
    """An entry and its number in this history."""

    id: int
    entry: HistoryEntry


class History(Closing):
    """The history in the file `path`, made when it is missing; used by one thread.

    Raises:
        StorageError: it cannot be opened.
        UnsupportedVersion: it was made by a newer blixard.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, make=True)
        try:
            migrate(self._database, HISTORY_STEPS)
        except BaseException:
            self._database.close()
            raise

    def append(self, entry: HistoryEntry) -> None:
        """Add an entry that belongs to no state change (an export, a failure); durable when this returns.

        Raises:
            StorageError: nothing was added.
        """
        self._insert(None, entry)

    def absorb(self, books: NodeBooks) -> int:
        """Bring the entries in the outbox here; return how many were new. None comes twice, whatever is killed.

        Raises:
            StorageError: some entries may be here and still in the outbox; the next call settles that.
        """
        waiting = books.history_outbox()
        if not waiting:
            return 0
        with self._database.writing():
            new = sum(self._insert(key, msgspec.convert(entry, HistoryEntry)) for key, entry in waiting)
        books.clear_history_outbox([key for key, _ in waiting])
        return new

    def entries(self, *, limit: int | None = None) -> tuple[Recorded, ...]:
        """The newest entries, newest first."""
        return self._select("ORDER BY id DESC LIMIT ?", (-1 if limit is None else limit,))

    def find(self, document: str) -> tuple[Recorded, ...]:
        """All entries about the document with this digest (hex), newest first."""
        return self._select("WHERE document = ? ORDER BY id DESC", (document,))

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def _insert(self, key: str | None, entry: HistoryEntry) -> int:
        small = msgspec.structs.replace(entry, error=_cut(entry.error), place=_cut(entry.place))
        return self._database.write(
            "INSERT OR IGNORE INTO entries (key, verb, exit_code, document, images, json) VALUES (?, ?, ?, ?, ?, ?)",
            (key, small.verb, small.exit_code, small.document, small.images, msgspec.json.encode(small)),
        )

    def _select(self, where: str, parameters: tuple[Any, ...]) -> tuple[Recorded, ...]:
        rows = self._database.read(f"SELECT id, json FROM entries {where}", parameters)  # noqa: S608 - a text of ours
        return tuple(Recorded(number, msgspec.json.decode(text, type=HistoryEntry)) for number, text in rows)


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= _LONGEST_TEXT:
        return text
    return text[:_LONGEST_TEXT] + "..."
