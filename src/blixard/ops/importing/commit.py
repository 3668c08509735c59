"""The commit of an import: disks renamed into place, then one transaction, then the tidying.

Before the transaction the old cluster stands, after it the new one; nothing in here makes a third.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from msgspec import structs, to_builtins

from blixard.errors import BlixardError
from blixard.ops.importing.integrity import exit_code_of
from blixard.ops.importing.phases import Committed, Job, Ready
from blixard.ops.importing.request import VERB
from blixard.ops.importing.stage import StagedImport
from blixard.ops.importing.telemetry import TelemetrySpool
from blixard.ops.keeping.undo import newest_entry
from blixard.plan.change import to_change
from blixard.plan.retention import retained
from blixard.plan.templates import FIXED_TIME
from blixard.plan.values import Action, ImportPlan
from blixard.ports import UndoEntry
from blixard.site.open_cluster import OpenCluster
from blixard.telemetry.store import TelemetryOrigin


def commit(job: Job, ready: Ready, staged: StagedImport | None) -> Committed:
    """Make the plan the state; what was told of its source stands in the history with it.

    The caller holds back what could interrupt it: that a new cluster is published belongs to the same step.

    Args:
        job: the import.
        ready: its plan.
        staged: where its disks are; None for a document without images.

    Raises:
        StorageError: the cluster is as it was; what was staged stays for the next import of the same document.
        Conflict: the state moved although it was locked.
    """
    cluster, plan = ready.target.cluster, ready.plan
    import_id = uuid.uuid4().hex if staged is None else staged.row.id
    about, asked = _about(job, plan, import_id), job.request.asked()
    if plan.is_empty:
        # the cluster is what the file says: the revision does not move, and no undo entry pushes out another
        _keep_telemetry(cluster, plan, job.telemetry)
        cluster.note(VERB, asked, exit_code_of(plan), **about)
        if staged is not None:
            staged.committed()
        return Committed(import_id, plan.base_revision, None)
    images = plan.images()
    disks = {image: disk for image, disk in ready.arrived.disks.items() if image in images}
    change = to_change(
        plan,
        {} if staged is None else staged.move_in(disks),
        import_id=import_id,
        now=cluster.clock.now(),
        title=_title(plan),
        history=to_builtins(cluster.entry(VERB, asked, exit_code_of(plan), **about)),
    )
    change = structs.replace(
        change,
        expire_undo=_given_up(cluster, change.undo),
        import_done=None if staged is None else import_id,
    )
    kept = _keep_telemetry(cluster, plan, job.telemetry)
    try:
        revision = cluster.commit(VERB, change, plan.base_revision, exit_code_of(plan))
    except BaseException:
        _drop_telemetry(cluster, kept)
        raise
    if staged is not None:
        staged.committed()
    return Committed(import_id, revision, newest_entry(cluster))


def _title(plan: ImportPlan) -> str:
    parts = []
    for kind in (Action.CREATE, Action.UPDATE, Action.DELETE):
        count = sum(change.kind is kind for change in plan.vms)
        if count:
            parts.append(f"{count} {'VM' if count == 1 else 'VMs'} {kind}d")
    done = ", ".join(parts) or "no VM changed"
    when = "a template" if plan.source.exported_at == FIXED_TIME else f"{plan.source.exported_at:%Y-%m-%d %H:%M}"
    return f"{plan.mode} from `{plan.source.cluster_name}` of {when}: {done}"


def _about(job: Job, plan: ImportPlan, import_id: str) -> dict[str, Any]:
    """What the history says of an import beyond what was asked for."""
    return {
        "document": plan.source.document,
        "place": job.request.source,
        "images": bool(plan.images()),
        "vms": sum(change.kind is not Action.DELETE for change in plan.vms),
        "import_id": import_id,
        "warnings": job.source.warnings(),
    }


def _given_up(cluster: OpenCluster, new: UndoEntry | None) -> tuple[int, ...]:
    """Entries that go for the import's own, which is kept whatever the settings say: an import can be taken back."""
    if new is None:
        return ()
    entries = (new.summary(), *cluster.store.undo_entries())
    _, gone = retained(new, entries, cluster.policy.undo, cluster.clock.now())
    return gone


def _keep_telemetry(cluster: OpenCluster, plan: ImportPlan, telemetry: TelemetrySpool) -> int | None:
    if not telemetry.count or cluster.telemetry is None:
        return None
    origin = TelemetryOrigin(
        cluster_name=plan.source.cluster_name,
        cluster_id=plan.source.cluster_id,
        exported_at=plan.source.exported_at,
        document=plan.source.document,
        imported_at=cluster.clock.now(),
    )
    with cluster.telemetry() as store:
        return store.add_imported(origin, telemetry.elements())


def _drop_telemetry(cluster: OpenCluster, kept: int | None) -> None:
    if kept is None or cluster.telemetry is None:
        return
    with suppress(BlixardError), cluster.telemetry() as store:  # the import's own failure is the one to tell
        store.drop_imported(kept)
