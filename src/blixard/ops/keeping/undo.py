"""`cluster undo`: take back an import or a deletion, and look after what is kept for it.

An undo is planned like an import and committed like one; it has an undo of its own.
"""

from __future__ import annotations

from msgspec import Struct, structs, to_builtins

from blixard.errors import NotFound
from blixard.model.structs import JsonObject
from blixard.ops.keeping.claims import claim_again
from blixard.ops.keeping.held_bytes import with_held_bytes
from blixard.ops.keeping.in_use import check_in_use
from blixard.ops.keeping.leftovers import sweep_at_the_end
from blixard.ops.keeping.stamps import with_proven_digests
from blixard.plan.undo import UndoPlan, plan_undo, undo_change
from blixard.ports import StateChange, UndoEntry, UndoSummary
from blixard.site.open_cluster import OpenCluster

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
        Conflict: something was changed since, and `force` is off; or another VM got a disk in place that comes back.
        RefusedError: a disk that would be replaced is in use.
        Locked: somebody is at work.
    """
    if dry_run:
        return _report(cluster, _plan(cluster, entry_id, force=force))
    asked: JsonObject = {"entry": entry_id, "force": force}
    with cluster.recording(VERB, asked), cluster.locks.alone(VERB, cluster.policy.lock_wait):
        plan = _plan(cluster, entry_id, force=force)
        if not force:
            check_in_use(plan.contents, cluster, option="--force")
        history = to_builtins(cluster.entry(VERB, {**asked, "entry": plan.entry_id}))
        change = undo_change(plan, now=cluster.clock.now(), history=history)
        claim_again(cluster, cluster.snapshot(), change)
        revision = cluster.commit(VERB, change, plan.base_revision)
        newest = newest_entry(cluster)
    sweep_at_the_end(cluster, VERB)
    return structs.replace(_report(cluster, plan), dry_run=False, revision=revision, undo=newest)


def entries(cluster: OpenCluster) -> tuple[UndoSummary, ...]:
    """Kept entries, newest first, with the bytes that only undo keeps."""
    return with_held_bytes(cluster.store.undo_entries(), cluster.snapshot(), cluster.directory)


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
    sweep_at_the_end(cluster, VERB)
    return before


def find_entry(cluster: OpenCluster, entry_id: int | None) -> UndoEntry:
    """An entry by id; None is the newest.

    Raises:
        NotFound: there is none.
    """
    kept = [entry.id for entry in cluster.store.undo_entries()]
    if not kept:
        raise NotFound(f"cluster `{cluster.name}` in `{cluster.home.root}` has nothing to undo")
    wanted = kept[0] if entry_id is None else entry_id
    if wanted not in kept:
        known = ", ".join(str(each) for each in kept)
        raise NotFound(
            f"cluster `{cluster.name}` in `{cluster.home.root}` has no undo entry {wanted}", hint=f"there is {known}"
        )
    return cluster.store.undo_entry(wanted)


def newest_entry(cluster: OpenCluster) -> int | None:
    """The id of the entry that was made last, of those that are kept."""
    return max((entry.id for entry in cluster.store.undo_entries()), default=None)


def _plan(cluster: OpenCluster, entry_id: int | None, *, force: bool) -> UndoPlan:
    """Plan on the state now, in which a disk has no digest any more when it was written to since its import."""
    now = with_proven_digests(cluster.snapshot(), cluster.directory)
    return plan_undo(find_entry(cluster, entry_id), now, force=force)


def _report(cluster: OpenCluster, plan: UndoPlan) -> UndoReport:
    """The report of a plan, as of a dry run."""
    return UndoReport(
        dry_run=True,
        cluster=cluster.name,
        entry=plan.entry_id,
        title=plan.title,
        plan=plan,
        revision=plan.base_revision,
    )
