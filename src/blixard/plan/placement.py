"""On which node a VM of the document is placed.

A file knows its own nodes only; a VM goes where the operator says, else where file or target have a living node for
it, else on the node that imports.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from blixard.errors import UsageError
from blixard.model.structs import Node, NodeState, Vm
from blixard.plan.document import Prepared
from blixard.plan.matching import Pair
from blixard.plan.values import Move


class Places(Struct, frozen=True, kw_only=True):
    """The nodes after the import, and whether the file's node ids mean them."""

    nodes: Mapping[int, Node]
    self_node: int
    ids_are_ours: bool
    """The file is of the same cluster, or makes this one."""
    adopted: int | None = None

    def lives(self, node_id: int | None) -> bool:
        """True when that node is active, and not only the record of one that is absent."""
        node = self.nodes.get(node_id) if node_id is not None else None
        return node is not None and node.state is NodeState.ACTIVE


def place(pair: Pair, places: Places) -> int:
    """The id of the node that a VM is placed on."""
    if pair.incoming.mapped_node is not None:
        return pair.incoming.mapped_node
    theirs = pair.incoming.vm.node_id
    if theirs is not None and theirs == places.adopted:
        return places.self_node
    if theirs is not None and places.ids_are_ours and places.lives(theirs):
        return theirs
    ours = pair.ours
    if ours is not None and ours.node_id is not None and places.lives(ours.node_id):
        return ours.node_id
    return places.self_node


def move_of(pair: Pair, made: Vm) -> Move | None:
    """What to tell about a VM's placement; None when it stands where it stood, or where the file says."""
    if made.node_id is None:
        return None
    if pair.ours is not None:
        moved = pair.ours.node_id != made.node_id
        return Move(made.name, pair.ours.node_id, made.node_id) if moved else None
    theirs = pair.incoming.vm.node_id
    return Move(made.name, theirs, made.node_id) if theirs not in (None, made.node_id) else None


def check_mapped(prepared: Prepared, nodes: Mapping[int, Node]) -> None:
    """Every node that the operator maps to is there.

    Raises:
        UsageError: naming those that are not.
    """
    wanted = {each.mapped_node for each in prepared.vms.values() if each.mapped_node is not None}
    missing = sorted(wanted - nodes.keys())
    if missing:
        listed = ", ".join(f"`{node}`" for node in missing)
        there = ", ".join(f"`{node}`" for node in sorted(nodes))
        raise UsageError(f"VMs are mapped to node {listed}, which is not in this cluster", hint=f"it has {there}")
