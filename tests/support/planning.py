"""Clusters, documents of them, and a store that is nothing but a snapshot: what the plan's tests are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from blixard.model.changes import StateChange
from blixard.model.codec import decode_node, decode_vm, to_object
from blixard.model.incoming import IncomingNode, IncomingState, IncomingVm
from blixard.model.structs import (
    ClusterSnapshot,
    Content,
    ContentKey,
    ContentKind,
    ExportHead,
    ExportMetadata,
    JsonObject,
    Node,
    RaftState,
    Vm,
)
from blixard.plan.change import to_change
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions
from blixard.plan.values import Action, ContentChange, ImportPlan, NodeChange, VmChange
from support import documents

HERE = "aaaaaaaa-0000-4000-8000-000000000001"
THERE = "bbbbbbbb-0000-4000-8000-000000000002"
NOW = datetime(2026, 8, 1, 9, 30, tzinfo=UTC)
EXPORTED = datetime(2026, 7, 27, 12, 0, tzinfo=UTC)


def vm(name: str = "web-1", number: int = 1, **fields: Any) -> Vm:
    """A VM with the id of its number, on node 1."""
    given = {"id": documents.uuid(number), "node_id": 1, "config_path": "/etc/vm.nix", **fields}
    return documents.vm(name, **given)


def cluster(*vms: Vm, nodes: Iterable[Node] = (), **fields: Any) -> ClusterSnapshot:
    """A cluster of these VMs; its machine is node 1 unless nodes are given."""
    listed = list(nodes) or [documents.node(1)]
    given = {"id": HERE, "name": "prod", "revision": 7, "self_node": listed[0].id, **fields}
    return ClusterSnapshot(vms={each.name: each for each in vms}, nodes={each.id: each for each in listed}, **given)


def content(file: str = "d-1", **fields: Any) -> Content:
    """Content of a disk in a file of the cluster."""
    return Content(**{"file": file, "size_bytes": 4 << 20, **fields})


def disk_key(each: Vm, name: str = "root") -> ContentKey:
    """The key of a disk's content."""
    return ContentKey(each.id or "", ContentKind.DISK, name)


def document(
    *vms: Vm | JsonObject, nodes: Iterable[Node] = (), cluster_id: str | None = HERE, name: str = "prod", **fields: Any
) -> IncomingState:
    """A document, decoded. A VM given as a JSON object has only the keys that it has."""
    objects = [to_object(each) if isinstance(each, Vm) else each for each in vms]
    listed = list(nodes) or [documents.node(1)]
    exported_by = fields.pop("exported_by", listed[0].id)
    metadata = ExportMetadata(cluster_id=cluster_id, **fields)
    decoded = [decode_node(to_object(each)) for each in listed]
    head = ExportHead(
        version="1.0",
        exported_at=EXPORTED,
        cluster_name=name,
        exported_by_node=exported_by,
        nodes=tuple(decoded),
        raft_state=RaftState(),
        metadata=metadata,
    )
    return IncomingState(
        head=head,
        nodes=tuple(IncomingNode(each, to_object(each)) for each in decoded),
        vms={each["name"]: IncomingVm(decode_vm(each, each["name"]), each) for each in objects},
    )


def document_of(snapshot: ClusterSnapshot, **fields: Any) -> IncomingState:
    """The document that an export of a cluster makes."""
    nodes = [snapshot.nodes[node_id] for node_id in sorted(snapshot.nodes)]
    given = {"cluster_id": snapshot.id, "name": snapshot.name, "exported_by": snapshot.self_node, **fields}
    return document(*(snapshot.vms[name] for name in sorted(snapshot.vms)), nodes=nodes, **given)


def original(*objects: JsonObject, name: str = "old") -> IncomingState:
    """A file of the original Blixard: no ids, four keys a VM."""
    return document(*objects, cluster_id=None, name=name)


def original_vm(name: str = "web-1", **fields: Any) -> JsonObject:
    """A VM as the original's first version wrote it."""
    return {"name": name, "config_path": "/etc/x.nix", "vcpus": 2, "memory": 512, **fields}


def apply_change(snapshot: ClusterSnapshot, change: StateChange) -> ClusterSnapshot:
    """What a store does with a change, in memory."""
    gone = {*change.delete_vms, *(each.id for each in change.put_vms)}
    vms = {name: each for name, each in snapshot.vms.items() if each.id not in gone}
    for each in change.put_vms:
        assert each.name not in vms, f"two VMs are called {each.name}"
        vms[each.name] = each
    nodes = {node_id: node for node_id, node in snapshot.nodes.items() if node_id not in change.delete_nodes}
    nodes.update({node.id: node for node in change.put_nodes})
    contents = {key: value for key, value in snapshot.contents.items() if key not in change.delete_contents}
    contents.update(dict(change.put_contents))
    return structs.replace(
        snapshot,
        vms=vms,
        nodes=nodes,
        contents=contents,
        provenance=None if change.clear_provenance else change.provenance or snapshot.provenance,
        self_node=snapshot.self_node if change.self_node is None else change.self_node,
        revision=max(snapshot.revision + 1, change.raise_revision_to),
    )


def staged(plan: ImportPlan, digests: Mapping[int, str] | None = None) -> dict[int, Content]:
    """Contents as staging would have made them."""
    facts = {change.image: change for change in plan.contents}
    made = {}
    for image in plan.images():
        change = facts[image]
        size, kind = change.size_bytes or 0, change.format
        assert kind is not None
        digest = (digests or {}).get(image)
        made[image] = Content(file=f"new-{image}", size_bytes=size, format=kind, digest=digest)
    return made


def change_of(plan: ImportPlan, **fields: Any) -> StateChange:
    """The plan as a change, with everything staged."""
    digests = fields.pop("digests", None)
    return to_change(plan, staged(plan, digests), **{"import_id": "i-1", "now": NOW, "title": "import", **fields})


def applied(current: ClusterSnapshot, incoming: IncomingState, options: ImportOptions | None = None) -> ClusterSnapshot:
    """The cluster after an import."""
    return apply_change(current, change_of(plan_import(current, incoming, options or ImportOptions())))


def vm_change(plan: ImportPlan, name: str, kind: Action | None = None) -> VmChange:
    """The only change of a VM of this name (and kind)."""
    found = [each for each in plan.vms if each.name == name and kind in (None, each.kind)]
    assert len(found) == 1, found
    return found[0]


def node_change(plan: ImportPlan, node_id: int) -> NodeChange:
    """The change of a node."""
    return next(each for each in plan.nodes if each.id == node_id)


def content_change(plan: ImportPlan, vm_name: str, name: str = "root") -> ContentChange:
    """The only change of a content."""
    found = [each for each in plan.contents if each.vm == vm_name and each.key.name == name]
    assert len(found) == 1, found
    return found[0]


def kinds(plan: ImportPlan) -> dict[str, str]:
    """What happens to each VM, by name; a name that is deleted and made again is `delete+create`."""
    made: dict[str, str] = {}
    for each in plan.vms:
        made[each.name] = f"{made[each.name]}+{each.kind}" if each.name in made else each.kind.value
    return made
