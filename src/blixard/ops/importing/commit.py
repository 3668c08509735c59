"""The commit of an import: disks renamed into place, then one transaction, then the tidying.

Before the transaction the old cluster stands, after it the new one; nothing in here makes a third.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from msgspec import Struct, structs, to_builtins

from blixard.errors import BlixardError
from blixard.ops.importing.integrity import exit_code_of
from blixard.ops.importing.request import VERB, ImportRequest
from blixard.ops.importing.stage import StagedImport, contents_of_images
from blixard.ops.importing.telemetry import TelemetrySpool
from blixard.plan.change import to_change
from blixard.plan.retention import expired
from blixard.plan.templates import FIXED_TIME
from blixard.plan.values import Action, ImportPlan
from blixard.ports import StateChange, UndoEntry
from blixard.site.open_cluster import OpenCluster
from blixard.telemetry.store import TelemetryOrigin, TelemetryStore


class Committed(Struct, frozen=True):
    """The new revision, and the undo entry that takes the import back."""

    revision: int
    undo: int | None


def commit(
    cluster: OpenCluster,
    plan: ImportPlan,
    request: ImportRequest,
    import_id: str,
    *,
    staged: StagedImport | None,
    telemetry: TelemetrySpool,
    warnings: tuple[str, ...] = (),
) -> Committed:
    """Make the plan the state; what was told of its source stands in the history with it.

    The caller holds back what could interrupt it: that a new cluster is published belongs to the same step.

    Raises:
        StorageError: the cluster is as it was; what was staged stays for the next import of the same document.
        Conflict: the state moved although it was locked.
    """
    if plan.is_empty:
        return _nothing_to_do(cluster, plan, request, import_id, staged=staged, telemetry=telemetry, warnings=warnings)
    contents = {} if staged is None else staged.move_in(cluster, plan.images())
    change = to_change(
        plan,
        contents_of_images(plan, contents),
        import_id=import_id,
        now=cluster.clock.now(),
        title=_title(plan),
        history=to_builtins(
            cluster.entry(VERB, request.asked(), exit_code_of(plan), **_about(plan, request, import_id, warnings))
        ),
    )
    change = structs.replace(
        change,
        drop_undo=_expired(cluster, change.undo),
        import_done=None if staged is None else import_id,
    )
    kept = _keep_telemetry(cluster, plan, telemetry)
    try:
        revision = cluster.store.apply(change, plan.base_revision)
    except BaseException:
        _drop_telemetry(cluster, kept)
        raise
    cluster.settle(VERB, exit_code_of(plan))
    if staged is not None:
        staged.committed()
    return Committed(revision, _newest_undo(cluster, change))


def _nothing_to_do(
    cluster: OpenCluster,
    plan: ImportPlan,
    request: ImportRequest,
    import_id: str,
    *,
    staged: StagedImport | None,
    telemetry: TelemetrySpool,
    warnings: tuple[str, ...] = (),
) -> Committed:
    """The cluster is what the file says: the revision does not move, and no undo entry pushes out another."""
    _keep_telemetry(cluster, plan, telemetry)
    cluster.note(VERB, request.asked(), exit_code_of(plan), **_about(plan, request, import_id, warnings))
    if staged is not None:
        staged.committed()
    return Committed(plan.base_revision, None)


def _title(plan: ImportPlan) -> str:
    parts = []
    for kind in (Action.CREATE, Action.UPDATE, Action.DELETE):
        count = sum(change.kind is kind for change in plan.vms)
        if count:
            parts.append(f"{count} {'VM' if count == 1 else 'VMs'} {kind}d")
    done = ", ".join(parts) or "no VM changed"
    when = "a template" if plan.source.exported_at == FIXED_TIME else f"{plan.source.exported_at:%Y-%m-%d %H:%M}"
    return f"{plan.mode} from `{plan.source.cluster_name}` of {when}: {done}"


def _about(plan: ImportPlan, request: ImportRequest, import_id: str, warnings: tuple[str, ...]) -> dict[str, Any]:
    """What the history says of an import beyond what was asked for."""
    return {
        "document": plan.source.document,
        "place": request.source,
        "images": bool(plan.images()),
        "vms": sum(change.kind is not Action.DELETE for change in plan.vms),
        "import_id": import_id,
        "warnings": warnings,
    }


def _expired(cluster: OpenCluster, new: UndoEntry | None) -> tuple[int, ...]:
    if new is None:
        return ()
    entries = (new.summary(), *cluster.store.undo_entries())
    return tuple(each for each in expired(entries, cluster.policy.undo, cluster.clock.now()) if each != new.id)


def _newest_undo(cluster: OpenCluster, change: StateChange) -> int | None:
    if change.undo is None:
        return None
    return max((entry.id for entry in cluster.store.undo_entries()), default=None)


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
    with suppress(BlixardError):  # the import's own failure is the one to tell
        store: TelemetryStore = cluster.telemetry()
        with store:
            store.drop_imported(kept)
