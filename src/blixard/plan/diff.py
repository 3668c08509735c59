"""The difference of two states, field by field: two files, a file and a cluster, or a cluster then and now.

What differs in every export without anybody having done anything (time, revision, raft facts) is left out by default,
so that an empty difference means: the same cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter

from msgspec import Struct

from blixard.model.codec import to_object
from blixard.model.incoming import IncomingState
from blixard.model.structs import ClusterSnapshot, JsonObject, Node, Vm
from blixard.plan.contents import without_image_links
from blixard.plan.fields import differences, node_change, vm_change
from blixard.plan.values import FieldChange, NodeChange, VmChange

VOLATILE = ("exported_at", "exported_by_node", "raft_state", "revision", "exporter", "provenance")
"""Head fields that differ in every export."""


class ComparedState(Struct, frozen=True, kw_only=True):
    """One side: the same shape for a document and for a cluster."""

    head: JsonObject
    nodes: Mapping[int, Node]
    vms: Mapping[str, Vm]
    contents: Mapping[tuple[str, str], str] = {}
    """Digest of each known content, by VM and disk (or file) name."""


class StateDiff(Struct, frozen=True, kw_only=True):
    """What differs; objects that do not are not listed."""

    head: tuple[FieldChange, ...] = ()
    nodes: tuple[NodeChange, ...] = ()
    vms: tuple[VmChange, ...] = ()
    contents: tuple[FieldChange, ...] = ()
    """Pointer `/VM/DISK`, digests. Only of contents whose digest is known on both sides."""

    @property
    def is_empty(self) -> bool:
        """True when nothing differs."""
        return not (self.head or self.nodes or self.vms or self.contents)


def state_of_document(incoming: IncomingState, contents: Mapping[tuple[str, str], str] | None = None) -> ComparedState:
    """A document as one side of a difference."""
    head = incoming.head
    metadata = head.metadata
    return ComparedState(
        head={
            "cluster_name": head.cluster_name,
            "cluster_id": metadata.cluster_id,
            "exported_at": head.exported_at.isoformat(),
            "exported_by_node": head.exported_by_node,
            "raft_state": to_object(head.raft_state),
            "revision": metadata.revision,
            "exporter": metadata.exporter,
            "provenance": metadata.provenance,
            "scope": metadata.scope,
        },
        nodes={each.node.id: each.node for each in incoming.nodes},
        vms={name: without_image_links(each.vm) for name, each in incoming.vms.items()},
        contents=contents or {},
    )


def state_of_cluster(snapshot: ClusterSnapshot, contents: Mapping[tuple[str, str], str] | None = None) -> ComparedState:
    """A cluster as one side of a difference."""
    return ComparedState(
        head={"cluster_name": snapshot.name, "cluster_id": snapshot.id, "revision": snapshot.revision, "scope": None},
        nodes=snapshot.nodes,
        vms=snapshot.vms,
        contents=contents or {},
    )


def diff_states(before: ComparedState, after: ComparedState, *, volatile: bool = False) -> StateDiff:
    """What differs from `before` to `after`; with `volatile` also what differs in every export."""
    return StateDiff(
        head=differences(_head(before, volatile=volatile), _head(after, volatile=volatile)),
        nodes=tuple(_nodes(before.nodes, after.nodes)),
        vms=tuple(_vms(before.vms, after.vms)),
        contents=tuple(_contents(before.contents, after.contents)),
    )


def _head(state: ComparedState, *, volatile: bool) -> JsonObject:
    return {key: value for key, value in state.head.items() if volatile or key not in VOLATILE}


def _nodes(before: Mapping[int, Node], after: Mapping[int, Node]) -> Iterator[NodeChange]:
    for node_id in sorted(before.keys() | after.keys()):
        old, new = before.get(node_id), after.get(node_id)
        if old != new:
            yield node_change(node_id, old, new)


def _vms(before: Mapping[str, Vm], after: Mapping[str, Vm]) -> Iterator[VmChange]:
    for _, old, new in _pairs(before, after):
        if old != new:
            yield vm_change(old, new)


def _pairs(before: Mapping[str, Vm], after: Mapping[str, Vm]) -> list[tuple[str, Vm | None, Vm | None]]:
    """The same VM on both sides, by name: found by id, else by name where a side has no ids."""
    by_id = {vm.id: vm for vm in before.values() if vm.id is not None}
    left = dict(before)
    pairs: list[tuple[str, Vm | None, Vm | None]] = []
    for name, new in sorted(after.items()):
        old = by_id.get(new.id) if new.id is not None else None
        by_name = left.get(name)
        if old is None and by_name is not None and (new.id is None or by_name.id is None):
            old = by_name
        pairs.append((name, old, new))
        if old is not None:
            left.pop(old.name, None)
    pairs += [(name, vm, None) for name, vm in left.items()]
    return sorted(pairs, key=itemgetter(0))


def _contents(before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]) -> Iterator[FieldChange]:
    for vm, disk in sorted(before.keys() & after.keys()):
        if before[vm, disk] != after[vm, disk]:
            yield FieldChange(f"/{vm}/{disk}", before[vm, disk], after[vm, disk])
