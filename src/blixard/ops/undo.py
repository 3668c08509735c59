"""`cluster undo`: take back an import or a deletion, and look after what is kept for it.

An undo is planned like an import and committed like one; it has an undo of its own.
"""

from __future__ import annotations

from msgspec import Struct, structs, to_builtins

from blixard import files
from blixard.errors import NotFound
from blixard.model.structs import JsonObject
from blixard.ops.context import OpenCluster
from blixard.ops.import_preflight import check_in_use
from blixard.ops.leftovers import sweep_if_free
from blixard.plan.undo import UndoPlan, plan_undo, undo_change
from blixard.ports import StateChange, UndoEntry

VERB = "cluster undo"


class UndoReport(Struct, frozen=True, kw_only=True):
    """What an undo did, or with `dry_run` would do. `undo` is the entry that takes it back in turn."""

    dry_run: bool
    cluster: str
    entry: int
    title: str
    plan: UndoPlan
    revision: int
    undo: int | None = None


def undo(cluster: OpenCluster, entry_id: int | None, *, dry_run: bool, force: bool) -> UndoReport:
    """Take back entry `entry_id`, or the newest.

    Raises:
        NotFound: there is no such entry, or none at all.
        Conflict: something was changed since, and `force` is off.
        RefusedError: a disk that would be replaced is in use.
        Locked: somebody is at work.
    """
    if dry_run:
        entry = find_entry(cluster, entry_id)
        plan = plan_undo(entry, cluster.snapshot(), force=force)
        return _report(cluster, entry, plan, plan.base_revision, dry_run=True)
    asked: JsonObject = {"entry": entry_id, "force": force}
    with cluster.recording(VERB, asked), cluster.directory.alone(VERB, cluster.policy.lock_wait):
        entry = find_entry(cluster, entry_id)
        plan = plan_undo(entry, cluster.snapshot(), force=force)
        if not force:
            check_in_use(plan.contents, cluster, option="--force")
        history = to_builtins(cluster.entry(VERB, {**asked, "entry": entry.id}))
        change = undo_change(plan, now=cluster.clock.now(), history=history)
        revision = cluster.store.apply(change, plan.base_revision)
        cluster.settle(VERB)
        newest = max((each.id for each in cluster.store.undo_entries()), default=None)
    sweep_if_free(cluster.directory, cluster.store, VERB)
    report = _report(cluster, entry, plan, revision, dry_run=False)
    return structs.replace(report, undo=newest if change.undo is not None else None)


def entries(cluster: OpenCluster) -> tuple[UndoEntry, ...]:
    """Kept entries, newest first, with the bytes that only undo keeps."""
    live = {content.file for content in cluster.snapshot().contents.values()}
    return tuple(structs.replace(each, held_bytes=_held(cluster, each, live)) for each in cluster.store.undo_entries())


def pin(cluster: OpenCluster, entry_id: int, *, pinned: bool) -> None:
    """Keep an entry whatever its age, or stop doing so.

    Raises:
        NotFound: there is no such entry.
    """
    find_entry(cluster, entry_id)
    cluster.store.pin_undo(entry_id, pinned=pinned)


def drop(cluster: OpenCluster, entry_id: int) -> int:
    """Give an entry up; return the bytes that it alone kept.

    Raises:
        NotFound: there is no such entry.
        Locked: somebody is at work.
    """
    find_entry(cluster, entry_id)
    before = next(each.held_bytes for each in entries(cluster) if each.id == entry_id)
    cluster.edit("cluster undo drop", {"entry": entry_id}, lambda _snapshot: StateChange(drop_undo=(entry_id,)))
    sweep_if_free(cluster.directory, cluster.store, VERB)
    return before


def find_entry(cluster: OpenCluster, entry_id: int | None) -> UndoEntry:
    """An entry by id; None is the newest.

    Raises:
        NotFound: there is none.
    """
    kept = cluster.store.undo_entries()
    if not kept:
        raise NotFound(f"cluster `{cluster.name}` in `{cluster.home.root}` has nothing to undo")
    if entry_id is None:
        return kept[0]
    for entry in kept:
        if entry.id == entry_id:
            return entry
    known = ", ".join(str(entry.id) for entry in kept)
    raise NotFound(f"cluster `{cluster.name}` has no undo entry {entry_id}", hint=f"there is {known}")


def _report(cluster: OpenCluster, entry: UndoEntry, plan: UndoPlan, revision: int, *, dry_run: bool) -> UndoReport:
    return UndoReport(
        dry_run=dry_run, cluster=cluster.name, entry=entry.id, title=entry.title, plan=plan, revision=revision
    )


def _held(cluster: OpenCluster, entry: UndoEntry, live: set[str | None]) -> int:
    contents = (content for side in (entry.before, entry.after) for _, content in side.contents)
    names = {content.file for content in contents if content.file is not None} - live
    return sum(files.allocated_bytes(cluster.directory.disks / name) for name in names)
