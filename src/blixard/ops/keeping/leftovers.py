"""Files of a cluster that nobody names: what a killed command left, or what an undo entry that is gone had kept.

Found by looking, not by remembering: a file under `disks/` or `undo/` that no live state, undo entry or import row
names, while no command is at work that could be about to name it. What a row of an import names goes with the row, once
no import can go on with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from blixard import files
from blixard.errors import Locked, StorageError
from blixard.home import ClusterDir
from blixard.model.structs import Content
from blixard.ports import ImportRow, StateStore


def named_files(store: StateStore) -> set[str]:
    """Names of all files that the live state, the undo entries and the imports that are not done name."""
    snapshot = store.snapshot()
    contents: list[Content] = list(snapshot.contents.values())
    named = {content.file for content in contents if content.file is not None}
    for entry in store.undo_entries():
        named.update(entry.files)
    for row in store.imports():
        if not row.done:
            named.update(row.files)
    return named


def unnamed_files(cluster: ClusterDir, store: StateStore) -> list[Path]:
    """Paths of files that nobody names, sorted. A command that is at work may still come to name one."""
    named = named_files(store)
    return sorted(path for path in _files_of(cluster) if path.name not in named)


def abandoned_imports(store: StateStore) -> list[ImportRow]:
    """Rows of imports that are over, and of those that nobody comes back to: their document had no name beforehand."""
    return [row for row in store.imports() if row.done or row.key == row.id]


def unnamed_staging(cluster: ClusterDir, store: StateStore) -> list[Path]:
    """Folders of staged content that no import's row names, sorted.

    A row comes first and goes last, so only a power loss leaves one: it may undo a removal and keep that of the row.
    """
    keys = {row.key for row in store.imports()}
    found = cluster.incoming.iterdir() if cluster.incoming.is_dir() else ()
    return sorted(path for path in found if path.name not in keys)


def sweep(cluster: ClusterDir, store: StateStore, verb: str, wait_seconds: float = 0) -> list[Path]:
    """Remove what nobody names; return what was removed.

    Raises:
        Locked: somebody is at work, still after `wait_seconds`.
        StorageError: a file cannot be removed.
    """
    with cluster.alone(verb, wait_seconds), cluster.deleting_disks(verb, wait_seconds):
        return sweep_held(cluster, store)


def sweep_held(cluster: ClusterDir, store: StateStore) -> list[Path]:
    """`sweep` for a caller that holds the locks `alone` and `deleting_disks`.

    Raises:
        StorageError: a file cannot be removed.
    """
    # on a full disk no row can go: first what needs none to
    removed = unnamed_files(cluster, store)
    for path in removed:
        files.unlink(path, missing_ok=True)
    for path in unnamed_staging(cluster, store):
        files.remove_tree(path, beneath=cluster.incoming)
    for row in abandoned_imports(store):
        forget_staged(cluster, store, row)
    for folder in {path.parent for path in removed}:
        files.fsync_dir(folder)
    return removed


def sweep_if_free(cluster: ClusterDir, store: StateStore, verb: str) -> list[Path]:
    """`sweep` when there is something to remove and nobody is at work; otherwise nothing, and nobody waits for us."""
    if not (unnamed_files(cluster, store) or abandoned_imports(store) or unnamed_staging(cluster, store)):
        return []
    with suppress(Locked, StorageError):
        return sweep(cluster, store, verb)
    return []


def sweep_at_the_end(cluster: ClusterDir, store: StateStore, verb: str) -> None:
    """As `sweep_if_free`; Ctrl-C ends the sweep and not the command, which has done what it was asked."""
    with suppress(KeyboardInterrupt):
        sweep_if_free(cluster, store, verb)


def forget_staged(cluster: ClusterDir, store: StateStore, row: ImportRow) -> None:
    """Remove what the import of `row` has staged, then the row; disks that a state came to name stay, of course.

    Raises:
        StorageError: something is left, and the row with it.
    """
    if not any(other.key == row.key and other.id != row.id for other in store.imports()):
        files.remove_tree(cluster.incoming / row.key, beneath=cluster.incoming)
    for name in () if row.done else row.files:
        files.unlink(cluster.disks / name, missing_ok=True)  # moved in, but its transaction never came
    store.forget_import(row.id)


def _files_of(cluster: ClusterDir) -> Iterable[Path]:
    for folder in (cluster.disks, cluster.undo):
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if not path.is_dir() or path.is_symlink())
