"""What an import does to the cluster's nodes.

The machine stays itself and a living node is never touched by a file: a file can bring back records of nodes, never
nodes. What it may give the importing machine is a place: labels and topology.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import count
from typing import Any

from msgspec import UNSET, Struct, UnsetType, structs

from blixard.errors import UsageError
from blixard.model.codec import decode_node, to_object
from blixard.model.incoming import IncomingNode
from blixard.model.structs import ClusterSnapshot, JsonObject, Node, NodeState, Topology
from blixard.plan.document import Prepared
from blixard.plan.fields import node_change, node_name
from blixard.plan.merge import merge_objects
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.scope import Scope, SelectorKind
from blixard.plan.values import Action, NodeChange


class _View(Struct, frozen=True, kw_only=True):
    """What every decision looks at. `place` is the id that the importing node has, or takes."""

    current: ClusterSnapshot
    theirs: dict[int, IncomingNode]
    place: int
    options: ImportOptions
    scopes: tuple[Scope, Scope]
    same: bool

    @property
    def ids_are_ours(self) -> bool:
        """The file's node ids mean nodes of the target."""
        return self.same or self.options.new_cluster

    def touches(self, node: Node) -> bool:
        """The node is inside the scope."""
        return all(scope.selects_node(node) for scope in self.scopes)


class NodePlan(Struct, frozen=True, kw_only=True):
    """The nodes after the import, `result` by id, and what they were decided on."""

    view: _View
    result: dict[int, Node]
    left_out: tuple[int, ...]

    @property
    def self_node(self) -> int:
        """Id of the importing node."""
        return self.view.place

    def changes(self) -> Iterator[NodeChange]:
        """What happens to each node of both sides."""
        here = self.view.current.nodes
        for node_id in sorted(here.keys() | self.result.keys()):
            before, after = here.get(node_id), self.result.get(node_id)
            if before == after:
                yield NodeChange(kind=Action.KEEP, name=node_name(node_id, after), id=node_id)
            elif before is None:
                note = "this machine" if node_id == self.self_node else "a record: the node is not here"
                yield structs.replace(node_change(node_id, None, after), notes=(note,))
            else:
                yield node_change(node_id, before, after)


def plan_nodes(
    current: ClusterSnapshot, prepared: Prepared, options: ImportOptions, exported_by: int, *, same: bool
) -> NodePlan:
    """Decide about every node of both sides.

    A new cluster is `current` with this machine's node alone; `same`: the document was made by this cluster.

    Raises:
        UsageError: `--adopt-node` names a node that the file does not have.
    """
    place = _place_of(options, exported_by) if options.new_cluster else current.self_node
    view = _View(
        current=current,
        theirs={each.node.id: each for each in prepared.nodes},
        place=place,
        options=options,
        scopes=(prepared.file_scope, options.rules.scope),
        same=same,
    )
    if options.adopt_node is not None and options.adopt_node not in view.theirs:
        raise UsageError(f"node `{options.adopt_node}` is to be adopted, but the file has no such node")
    result = {place if node_id == current.self_node else node_id: node for node_id, node in current.nodes.items()}
    if place in result:
        result[place] = structs.replace(_self_after(result[place], view), id=place)
    left_out = _bring(result, view)
    return NodePlan(view=view, result=result, left_out=left_out)


def without_unused(plan: NodePlan, used: Collection[int]) -> NodePlan:
    """The plan in which a replace takes away records that are in its scope, not in the file and not `used` by a VM."""
    unused = _dispensable(plan) - set(used)
    return structs.replace(plan, result={own: node for own, node in plan.result.items() if own not in unused})


def _dispensable(plan: NodePlan) -> set[int]:
    view = plan.view
    if view.options.mode is Mode.MERGE or not (view.same or view.options.with_nodes):
        return set()
    if not view.same and any(scope.uses(SelectorKind.NODE) for scope in view.scopes):
        return set()  # a node id of another cluster means no node here
    return {
        node.id
        for node in view.current.nodes.values()
        if node.state is NodeState.ABSENT
        and plan.result.get(node.id) == node
        and not _is_named(node, view)
        and view.touches(node)
    }


def _is_named(node: Node, view: _View) -> bool:
    """The file has this record."""
    if view.same:
        return node.id in view.theirs
    return any(_facts(node) == _facts(each.node) for each in view.theirs.values())


def _place_of(options: ImportOptions, exported_by: int) -> int:
    if options.node_id is not None:
        return options.node_id
    return options.adopt_node if options.adopt_node is not None else exported_by


def _self_after(node: Node, view: _View) -> Node:
    """The importing machine's node: itself, with the labels and topology of the place that it takes."""
    options = view.options
    given = view.theirs.get(view.place if options.adopt_node is None else options.adopt_node)
    allowed = view.ids_are_ours or options.adopt_node is not None
    if given is None or not allowed or not (options.new_cluster or view.touches(given.node)):
        return node
    if options.mode is Mode.REPLACE:
        return structs.replace(node, labels=given.node.labels, topology=given.node.topology)
    labels = {**node.labels, **given.node.labels}
    return structs.replace(node, labels=labels, topology=_merged_topology(node, given))


def _merged_topology(node: Node, given: IncomingNode) -> Topology | UnsetType:
    theirs = given.given.get("topology")
    if not isinstance(theirs, dict) or isinstance(node.topology, UnsetType):
        return node.topology if given.node.topology is UNSET else given.node.topology
    known: dict[str, Any] = {key: value for key, value in theirs.items() if key in Topology.__struct_fields__}
    return structs.replace(node.topology, **known)


def _bring(result: dict[int, Node], view: _View) -> tuple[int, ...]:
    """Put records of the file's other nodes into `result`; return the ids of those left out."""
    left_out: list[int] = []
    for node_id in sorted(view.theirs):
        given = view.theirs[node_id]
        if (view.ids_are_ours and node_id == view.place) or node_id == view.options.adopt_node:
            continue
        if not (view.ids_are_ours or view.options.with_nodes):
            left_out.append(node_id)
            continue
        if not view.touches(given.node):
            continue
        own = node_id if view.ids_are_ours else _id_here(given.node, result, view.theirs)
        ours = result.get(own)
        if ours is None or ours.state is NodeState.ABSENT:
            result[own] = _record(own, ours, given, view.options.mode)
    return tuple(left_out)


def _id_here(node: Node, result: Mapping[int, Node], theirs: Mapping[int, IncomingNode]) -> int:
    """The id that a stranger's node has here: of its record, else its own when that is free, else the next free one."""
    for ours in result.values():
        if ours.state is NodeState.ABSENT and _facts(ours) == _facts(node):
            return ours.id
    free = (own for own in count(1) if own not in result and own not in theirs)
    return node.id if node.id not in result else next(free)


def _facts(node: Node) -> tuple[str | None, str, str, str | None]:
    return node.endpoint_id, node.data_dir, node.bind_addr, node.name


def _record(own: int, ours: Node | None, given: IncomingNode, mode: Mode) -> Node:
    node = given.node
    if ours is not None and mode is Mode.MERGE:
        merged: JsonObject = merge_objects(to_object(ours), given.given)
        node = decode_node(merged, f"nodes.{own}")
    return structs.replace(node, id=own, state=NodeState.ABSENT)
