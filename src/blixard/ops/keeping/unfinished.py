"""New clusters that imports had begun to make and did not finish: hidden, kept only while an import can go on there.

Nobody sees them but the next import of the same name; so every import looks after all of them, and `cluster gc` too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from blixard.errors import BlixardError, StoreDamaged
from blixard.home import ClusterDir, Home
from blixard.ports import ImportRow
from blixard.store.opening import locks_of, open_with_books

STAGED_FOR = timedelta(days=7)
"""How long what an import has staged waits for the same document to come again."""


def given_up(home: Home, now: datetime, *, everything: bool = False) -> Iterator[ClusterDir]:
    """Hidden clusters that no import will go on with; with `everything`, also those that one could."""
    for directory in home.founded():
        if everything or not can_go_on(directory, now):
            yield directory


def sweep_founded(home: Home, verb: str, now: datetime, *, everything: bool = False) -> None:
    """Remove what `given_up` gives, except where an import is at work."""
    for directory in given_up(home, now, everything=everything):
        with suppress(BlixardError), locks_of(directory).alone(verb):
            if everything or not can_go_on(directory, now):  # an import may have begun since
                home.discard(directory)


def can_go_on(directory: ClusterDir, now: datetime) -> bool:
    """True when something is staged there under the name of a document, and not for too long.

    Also when the store cannot be asked now, or only by a newer blixard: what is staged costs hours, and goes on demand.
    """
    try:
        store, books = open_with_books(directory)
        with store, books:
            rows = books.imports() if store.snapshot().revision == 0 else ()
            return any(_is_worth_it(directory, row, now) for row in rows)
    except StoreDamaged:
        return False
    except BlixardError:
        return True


def _is_worth_it(directory: ClusterDir, row: ImportRow, now: datetime) -> bool:
    named = not row.done and row.key != row.id
    return named and now - row.started_at <= STAGED_FOR and (directory.incoming / row.key).is_dir()
