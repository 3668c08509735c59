"""Files of a cluster that nobody names: what a killed command left, or what an undo entry that is gone had kept.

Found by looking, not by remembering: a file under `disks/` or `undo/` that no live state, undo entry or import row
names, while no command is at work that could be about to name it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from blixard import files
from blixard.errors import Locked, StorageError
from blixard.home import ClusterDir
from blixard.model.structs import Content
from blixard.ports import StateStore


def named_files(store: StateStore) -> set[str]:
    """Names of all files that the live state, the undo entries and the imports that are not done name."""
    snapshot = store.snapshot()
    contents: list[Content] = list(snapshot.contents.values())
    for entry in store.undo_entries():
        for side in (entry.before, entry.after):
            contents.extend(content for _, content in side.contents)
    named = {content.file for content in contents if content.file is not None}
    for row in store.imports():
        if not row.done:
            named.update(row.files)
    return named


def unnamed_files(cluster: ClusterDir, store: StateStore) -> list[Path]:
    """Paths of files that nobody names, sorted. A command that is at work may still come to name one."""
    named = named_files(store)
    return sorted(path for path in _files_of(cluster) if path.name not in named)


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
    removed = unnamed_files(cluster, store)
    for path in removed:
        files.unlink(path, missing_ok=True)
    for folder in {path.parent for path in removed}:
        files.fsync_dir(folder)
    return removed


def sweep_if_free(cluster: ClusterDir, store: StateStore, verb: str) -> list[Path]:
    """`sweep` when there is something to remove and nobody is at work; otherwise nothing, and nobody waits for us."""
    if not unnamed_files(cluster, store):
        return []
    with suppress(Locked, StorageError):
        return sweep(cluster, store, verb)
    return []


def _files_of(cluster: ClusterDir) -> Iterable[Path]:
    for folder in (cluster.disks, cluster.undo):
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if not path.is_dir() or path.is_symlink())
