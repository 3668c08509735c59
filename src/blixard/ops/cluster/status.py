"""`cluster status`: what a cluster is made of, and when it was last brought to safety.

Reads only, takes no lock: it must answer while an export or import is at work.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, structs

from blixard import files
from blixard.model.structs import ClusterSnapshot, ContentKind, DesiredState, Provenance, Vm
from blixard.ops.keeping.held_bytes import held_bytes
from blixard.ops.keeping.leftovers import staged_folders
from blixard.site.open_cluster import OpenCluster
from blixard.store.history import HistoryEntry

if TYPE_CHECKING:
    from blixard.ports import UndoSummary

EXPORT, IMPORT = "cluster export", "cluster import"
_RECENT = 200
_LISTED = 20


class NodeStatus(Struct, frozen=True, kw_only=True):
    """One host. `here`: this data directory."""

    id: int
    name: str | None
    state: str
    here: bool
    vms: int


class VmStatus(Struct, frozen=True, kw_only=True):
    """VMs by what is wanted of them and by what keeps them from it."""

    total: int
    running: int
    stopped: int
    held: dict[str, int]
    untrusted: int
    without_content: tuple[str, ...]
    """`VM/DISK` of the first disks that have no content; such a VM cannot start."""
    without_content_count: int


class DiskStatus(Struct, frozen=True, kw_only=True):
    """Disks and bytes on this node. Bytes are what files take; `virtual_bytes` is what guests see."""

    count: int
    in_place: int
    virtual_bytes: int
    live_bytes: int
    undo_bytes: int
    staged_bytes: int
    free_bytes: int


class ExportStatus(Struct, frozen=True, kw_only=True):
    """The last whole export: of everything, complete, nothing masked."""

    at: datetime
    place: str | None
    document: str | None
    images: bool
    telemetry: bool
    size_bytes: int | None


class UndoStatus(Struct, frozen=True, kw_only=True):
    """What can be brought back."""

    entries: int
    newest: int | None
    title: str | None
    made_at: datetime | None


class Status(Struct, frozen=True, kw_only=True):
    """What `cluster status` shows of a cluster."""

    name: str
    id: str
    data_dir: str
    store: str
    revision: int
    term: int
    leader_id: int | None
    now: datetime
    nodes: tuple[NodeStatus, ...]
    vms: VmStatus
    disks: DiskStatus
    last_export: ExportStatus | None
    last_import: Provenance | None
    last_failure: HistoryEntry | None
    """The newest entry of the history, when it is of a failed export or import."""
    undo: UndoStatus
    unfinished_imports: int


class Freshness(Struct, frozen=True, kw_only=True):
    """Whether there is an export that is young enough and holds what is required."""

    stale: bool
    max_age: timedelta
    required: tuple[str, ...]
    newest: ExportStatus | None


def cluster_status(opened: OpenCluster) -> Status:
    """What a cluster is made of now; its state is read once, so that all numbers are of one revision.

    Raises:
        StorageError: the state cannot be read.
    """
    snapshot, raft = opened.snapshot(), opened.store.raft_state()
    undo = opened.store.undo_entries()
    recent = _recent(opened)
    failed = recent[0] if recent and recent[0].exit_code and recent[0].verb in (EXPORT, IMPORT) else None
    return Status(
        name=snapshot.name,
        id=snapshot.id,
        data_dir=str(opened.home.root),
        store=raft.engine or "sqlite",
        revision=snapshot.revision,
        term=raft.term,
        leader_id=raft.leader_id,
        now=opened.clock.now(),
        nodes=_nodes(snapshot),
        vms=_vms(snapshot),
        disks=_disks(opened, snapshot, undo),
        last_export=newest_export(opened, ()),
        last_import=None if snapshot.provenance is None else structs.replace(snapshot.provenance, kept=UNSET),
        last_failure=failed,
        undo=_undo(undo),
        unfinished_imports=sum(not row.done for row in opened.books.imports()),
    )


def freshness(opened: OpenCluster, max_age: timedelta, required: tuple[str, ...]) -> Freshness:
    """Whether the last whole export that holds what is `required` is younger than `max_age`; never is stale."""
    newest = newest_export(opened, required)
    stale = newest is None or opened.clock.now() - newest.at > max_age
    return Freshness(stale=stale, max_age=max_age, required=required, newest=newest)


def newest_export(opened: OpenCluster, required: tuple[str, ...]) -> ExportStatus | None:
    """The last whole export that holds what is `required` (`images`, `telemetry`)."""
    for limit in (_RECENT, None):  # years of nightly exports are not decoded to find last night's
        for entry in _recent(opened, limit):
            if _is_whole(entry) and all(entry.options.get(each) for each in required):
                return _export_status(entry)
    return None


def _recent(opened: OpenCluster, limit: int | None = _RECENT) -> list[HistoryEntry]:
    return [recorded.entry for recorded in opened.history.entries(limit=limit)]


def _is_whole(entry: HistoryEntry) -> bool:
    masked = entry.options.get("redact") or entry.options.get("template")
    return entry.verb == EXPORT and entry.exit_code == 0 and entry.scope is None and not masked


def _export_status(entry: HistoryEntry) -> ExportStatus:
    return ExportStatus(
        at=entry.time,
        place=entry.place,
        document=entry.document,
        images=bool(entry.options.get("images")),
        telemetry=bool(entry.options.get("telemetry")),
        size_bytes=entry.size_bytes,
    )


def _nodes(snapshot: ClusterSnapshot) -> tuple[NodeStatus, ...]:
    placed = Counter(vm.node_id for vm in snapshot.vms.values())
    return tuple(
        NodeStatus(
            id=node.id,
            name=node.name,
            state=node.state.value,
            here=node.id == snapshot.self_node,
            # a VM without placement is where the cluster is
            vms=placed[node.id] + (placed[None] if node.id == snapshot.self_node else 0),
        )
        for node in snapshot.nodes.values()
    )


def _vms(snapshot: ClusterSnapshot) -> VmStatus:
    vms = snapshot.vms.values()
    desired = Counter(vm.desired_state for vm in vms)
    missing = [f"{vm.name}/{name}" for vm in vms for name in missing_content(snapshot, vm)]
    return VmStatus(
        total=len(vms),
        running=desired[DesiredState.RUNNING],
        stopped=desired[DesiredState.STOPPED],
        held=dict(sorted(Counter(vm.hold.value for vm in vms if vm.hold is not None).items())),
        untrusted=sum(bool(vm.untrusted) for vm in vms),
        without_content=tuple(missing[:_LISTED]),
        without_content_count=len(missing),
    )


def missing_content(snapshot: ClusterSnapshot, vm: Vm) -> list[str]:
    """Names of a VM's disks and large files that have no content on this node, though the VM is placed here."""
    if vm.node_id not in (None, snapshot.self_node):
        return []
    return [part.name for part in vm.parts if not part.inline and vm.key_of(part) not in snapshot.contents]


def _disks(opened: OpenCluster, snapshot: ClusterSnapshot, undo: tuple[UndoSummary, ...]) -> DiskStatus:
    directory = opened.directory
    live = snapshot.contents.values()
    disks = [content for key, content in snapshot.contents.items() if key.kind is ContentKind.DISK]
    return DiskStatus(
        count=len(disks),
        in_place=sum(content.path is not None for content in disks),
        virtual_bytes=sum(content.size_bytes for content in disks),
        live_bytes=sum(files.allocated_bytes(directory.content_path(content)) for content in live),
        undo_bytes=held_bytes(undo, snapshot, directory),
        staged_bytes=sum(map(files.allocated_bytes, staged_folders(opened))),
        free_bytes=files.free_bytes(directory.disks),
    )


def _undo(entries: tuple[UndoSummary, ...]) -> UndoStatus:
    if not entries:
        return UndoStatus(entries=0, newest=None, title=None, made_at=None)
    newest = entries[0]
    return UndoStatus(entries=len(entries), newest=newest.id, title=newest.title, made_at=newest.made_at)
