"""`node add|list|show|remove`: the hosts that a cluster's state knows.

These are records: a node joins the work when blixard runs on it, not when it is added here.
"""

from __future__ import annotations

from msgspec import Struct

from blixard.errors import Conflict, InvalidField, RefusedError
from blixard.model.addresses import is_bind_address
from blixard.model.codec import check_name, decode_node
from blixard.model.structs import DEFAULT_BACKEND, ClusterSnapshot, JsonObject, Node
from blixard.ports import StateChange
from blixard.site.open_cluster import OpenCluster, no_node

MAX_MINTED_ID = (1 << 53) - 1
"""jq up to 1.6 rounds larger numbers."""


class NodeSpec(Struct, frozen=True, kw_only=True):
    """A node to be added. `id` None: the next one that is free."""

    id: int | None = None
    bind_addr: str
    data_dir: str
    name: str | None = None
    vm_backend: str = DEFAULT_BACKEND
    labels: dict[str, str] = {}
    datacenter: str | None = None
    zone: str | None = None
    rack: str | None = None


def add_node(opened: OpenCluster, spec: NodeSpec) -> Node:
    """Add a node to the state.

    Raises:
        InvalidField: naming the field.
        Conflict: a node has that id or name.
    """

    def plan(snapshot: ClusterSnapshot) -> StateChange:
        return StateChange(put_nodes=(_new_node(snapshot, spec),))

    return _new_node(opened.edit("node add", {"id": spec.id, "name": spec.name}, plan), spec)


def remove_node(opened: OpenCluster, wanted: str) -> Node:
    """Remove a node from the state.

    Raises:
        NotFound: there is no such node.
        RefusedError: it is the node of this data directory.
        Conflict: VMs are placed on it.
    """

    def plan(snapshot: ClusterSnapshot) -> StateChange:
        node = find_node(snapshot, wanted)
        if node.id == snapshot.self_node:
            raise RefusedError(f"node {node.id} is this one: a cluster's data directory is always one of its nodes")
        placed = sorted(vm.name for vm in snapshot.vms.values() if vm.node_id == node.id)
        if placed:
            raise Conflict(
                f"{len(placed)} VMs are placed on node {node.id}: {', '.join(f'`{each}`' for each in placed[:5])}",
                hint="place them elsewhere first: `blixard vm set NAME --node N`",
            )
        return StateChange(delete_nodes=(node.id,))

    return find_node(opened.edit("node remove", {"node": wanted}, plan), wanted)


def find_node(snapshot: ClusterSnapshot, wanted: str) -> Node:
    """The node with this id or name.

    Raises:
        NotFound: there is none.
    """
    for node in snapshot.nodes.values():
        if wanted in (str(node.id), node.name):
            return node
    raise no_node(f"`{wanted}`", snapshot)


def check_address(text: str, at: str) -> None:
    """Check `HOST:PORT`, `[IPv6]:PORT`.

    Raises:
        InvalidField: it is not one.
    """
    if not is_bind_address(text):
        raise InvalidField(at, f"{text[:60]!r} is not an address", hint="write `10.0.0.2:7000` or `[fd00::2]:7000`")


def _new_node(snapshot: ClusterSnapshot, spec: NodeSpec) -> Node:
    check_address(spec.bind_addr, "node.bind_addr")
    taken = {node.name: node.id for node in snapshot.nodes.values() if node.name}
    if spec.name is not None and check_name(spec.name, "node.name") in taken:
        raise Conflict(f"node {taken[spec.name]} has the name `{spec.name}` already", hint="choose another name")
    node_id = _free_id(snapshot) if spec.id is None else spec.id
    if node_id in snapshot.nodes:
        raise Conflict(f"there is a node {node_id} in cluster `{snapshot.name}` already", hint="choose another id")
    given: JsonObject = {
        "id": node_id,
        "data_dir": spec.data_dir,
        "bind_addr": spec.bind_addr,
        "use_tailscale": False,
        "vm_backend": spec.vm_backend,
        "name": spec.name,
        "labels": dict(spec.labels),
    }
    topology = {"datacenter": spec.datacenter, "zone": spec.zone, "rack": spec.rack}
    stated = {key: value for key, value in topology.items() if value is not None}
    return decode_node({**given, "topology": stated} if stated else given)


def _free_id(snapshot: ClusterSnapshot) -> int:
    following = max(snapshot.nodes, default=0) + 1
    if following <= MAX_MINTED_ID:
        return following
    return next(number for number in range(1, len(snapshot.nodes) + 2) if number not in snapshot.nodes)
