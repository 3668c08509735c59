"""`cluster gc`: show and free what nothing needs any more.

Files that nobody names, what imports have staged, clusters that they had begun to make, undo entries past their time.
Nothing that a live state or a kept undo entry names is ever touched, and nothing at all while somebody is at work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from blixard import files
from blixard.errors import ExitCode
from blixard.model.structs import JsonObject
from blixard.ops.keeping.leftovers import (
    abandoned_imports,
    forget_staged,
    staged_folders,
    sweep_held,
    unnamed_files,
    unnamed_staging,
)
from blixard.ops.keeping.undo import entries
from blixard.ops.keeping.unfinished import STAGED_FOR, given_up, sweep_founded
from blixard.plan.retention import expired
from blixard.ports import StateChange
from blixard.site.open_cluster import OpenCluster

VERB = "cluster gc"


class GcOptions(Struct, frozen=True, kw_only=True):
    """How much is freed. `staged`: what imports have staged, whatever its age."""

    dry_run: bool = False
    staged: bool = False


class Freed(Struct, frozen=True, kw_only=True):
    """One thing that is not needed, and the bytes it takes. `kind`: `file`, `staged`, `founded` or `undo`."""

    kind: str
    name: str
    size_bytes: int
    why: str


class GcReport(Struct, frozen=True, kw_only=True):
    """What was freed; with `dry_run`, what would be. `kept`: staged content that is still young."""

    dry_run: bool
    freed: tuple[Freed, ...]
    kept: tuple[Freed, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all that was freed."""
        return sum(each.size_bytes for each in self.freed)


def collect(opened: OpenCluster, options: GcOptions) -> GcReport:
    """Find what nothing needs, and free it unless `dry_run`.

    Raises:
        Locked: somebody is at work.
        StorageError: something cannot be removed.
    """
    if options.dry_run:
        return _look(opened, options)
    asked: JsonObject = {"staged": options.staged}
    with opened.recording(VERB, asked):
        opened.home.sweep()
        wait = opened.policy.lock_wait
        with opened.locks.alone(VERB, wait), opened.locks.deleting_disks(VERB, wait):
            report = _look(opened, options)
            # on a full disk the state cannot be written: first what makes room without
            sweep_held(opened)
            _drop_staged(opened, {each.name for each in report.freed if each.kind == "staged"})
            if _drop_undo(opened, asked, report):
                sweep_held(opened)
            sweep_founded(opened.home, VERB, opened.clock.now(), everything=options.staged)
        opened.note(VERB, asked, ExitCode.DONE)
    return report


def _look(opened: OpenCluster, options: GcOptions) -> GcReport:
    now = opened.clock.now()
    staged = _staged(opened, now)
    over = {row.key for row in abandoned_imports(opened)}
    over |= {path.name for path in unnamed_staging(opened)}
    gone = [each for each, age in staged if options.staged or age > STAGED_FOR or each.name in over]
    freed = [_freed("file", path.name, path, "nobody names it") for path in unnamed_files(opened)]
    founded = given_up(opened.home, now, everything=options.staged)
    freed += [_freed("founded", each.name, each.path, "an import had begun to make this cluster") for each in founded]
    return GcReport(
        dry_run=options.dry_run,
        freed=(*freed, *gone, *_expired(opened, now)),
        kept=tuple(each for each, _ in staged if each not in gone),
    )


def _staged(opened: OpenCluster, now: datetime) -> list[tuple[Freed, timedelta]]:
    begun = {row.key: row for row in opened.books.imports()}
    found = []
    for path in staged_folders(opened):
        row = begun.get(path.name)
        age = now - (row.started_at if row else datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo))
        why = f"staged by import {row.id}" if row else "staged by an import that is forgotten"
        found.append((_freed("staged", path.name, path, why), age))
    return found


def _freed(kind: str, name: str, path: Path, why: str) -> Freed:
    return Freed(kind=kind, name=name, size_bytes=files.allocated_bytes(path), why=why)


def _expired(opened: OpenCluster, now: datetime) -> list[Freed]:
    kept = entries(opened)
    dropped = set(expired(kept, opened.policy.undo, now))
    return [
        Freed(kind="undo", name=str(entry.id), size_bytes=entry.held_bytes, why=entry.title)
        for entry in kept
        if entry.id in dropped
    ]


def _drop_undo(opened: OpenCluster, asked: JsonObject, report: GcReport) -> bool:
    dropped = tuple(int(each.name) for each in report.freed if each.kind == "undo")
    if dropped:
        opened.edit(
            VERB, {**asked, "undo": list(dropped)}, lambda _snapshot: StateChange(expire_undo=dropped), locked=True
        )
    return bool(dropped)


def _drop_staged(opened: OpenCluster, keys: set[str]) -> None:
    left = {path.name for path in staged_folders(opened)}
    for row in opened.books.imports():
        if row.done or row.key in keys or row.key not in left:
            forget_staged(opened, row)
