"""Files of a cluster that nobody names: what a killed command left, or what an undo entry that is gone had kept.

Found by looking, not by remembering: a file under `disks/` or `undo/` that no live state, undo entry or import row
names, while no command is at work that could be about to name it. What a row of an import names goes with the row, once
no import can go on with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blixard import files
from blixard.errors import Locked, StorageError
from blixard.site.open_cluster import OpenCluster
from blixard.site.signals import heard

if TYPE_CHECKING:
    from blixard.ports import ImportRow


def unnamed_files(opened: OpenCluster) -> list[Path]:
    """Paths of files that nobody names, sorted. A command that is at work may still come to name one."""
    there = list(_files_of(opened))
    if not there:
        return []  # and no state is read to ask whether it names one
    named = _named_files(opened)
    return sorted(path for path in there if path.name not in named)


def abandoned_imports(opened: OpenCluster) -> list[ImportRow]:
    """Rows of imports that are over, and of those that nobody comes back to: their document had no name beforehand."""
    return [row for row in opened.books.imports() if row.done or row.key == row.id]


def unnamed_staging(opened: OpenCluster) -> list[Path]:
    """Folders of staged content that no import's row names, sorted.

    A row comes first and goes last, so only a power loss leaves one: it may undo a removal and keep that of the row.
    """
    keys = {row.key for row in opened.books.imports()}
    return [path for path in staged_folders(opened) if path.name not in keys]


def staged_folders(opened: OpenCluster) -> list[Path]:
    """Folders of what imports have staged, sorted: one for each document."""
    incoming = opened.directory.incoming
    return sorted(incoming.iterdir()) if incoming.is_dir() else []


def sweep(opened: OpenCluster, verb: str) -> list[Path]:
    """Remove what nobody names; return what was removed.

    Raises:
        Locked: somebody is at work.
        StorageError: a file cannot be removed.
    """
    with opened.locks.alone(verb), opened.locks.deleting_disks(verb):
        return sweep_held(opened)


def sweep_held(opened: OpenCluster) -> list[Path]:
    """`sweep` for a caller that holds the locks `alone` and `deleting_disks`.

    Raises:
        StorageError: a file cannot be removed.
    """
    # on a full disk no row can go: first what needs none to
    removed = unnamed_files(opened)
    for path in removed:
        files.unlink(path, missing_ok=True)
    for path in unnamed_staging(opened):
        files.remove_tree(path, beneath=opened.directory.incoming)
    for row in abandoned_imports(opened):
        forget_staged(opened, row)
    for folder in {path.parent for path in removed}:
        files.fsync_dir(folder)
    return removed


def sweep_if_free(opened: OpenCluster, verb: str) -> list[Path]:
    """`sweep` when there is something to remove and nobody is at work; otherwise nothing, and nobody waits for us."""
    if unnamed_files(opened) or abandoned_imports(opened) or unnamed_staging(opened):
        with suppress(Locked, StorageError):
            return sweep(opened, verb)
    return []


def sweep_at_the_end(opened: OpenCluster, verb: str) -> None:
    """As `sweep_if_free`; Ctrl-C ends the sweep and not the command, which has done what it was asked."""
    try:
        sweep_if_free(opened, verb)
    except KeyboardInterrupt:
        heard()


def forget_staged(opened: OpenCluster, row: ImportRow) -> None:
    """Remove what the import of `row` has staged, then the row; disks that a state came to name stay, of course.

    Raises:
        StorageError: something is left, and the row with it.
    """
    directory = opened.directory
    if not any(other.key == row.key and other.id != row.id for other in opened.books.imports()):
        files.remove_tree(directory.incoming / row.key, beneath=directory.incoming)
    for name in () if row.done else row.files:
        files.unlink(directory.disks / name, missing_ok=True)  # moved in, but its transaction never came
    opened.books.forget_import(row.id)


def _named_files(opened: OpenCluster) -> set[str]:
    """Names of all files that the live state, the undo entries and the imports that are not done name."""
    named = {content.file for content in opened.snapshot().contents.values() if content.file is not None}
    for entry in opened.store.undo_entries():
        named.update(entry.files)
    for row in opened.books.imports():
        if not row.done:
            named.update(row.files)
    return named


def _files_of(opened: OpenCluster) -> Iterable[Path]:
    for folder in (opened.directory.disks, opened.directory.undo):
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if not path.is_dir() or path.is_symlink())
