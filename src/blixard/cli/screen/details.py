"""A node or a VM in full, as `name: value` lines."""

from __future__ import annotations

from blixard.cli.screen import human
from blixard.model.structs import ClusterSnapshot, Content, Disk, Node, Vm


def node_state(node: Node, snapshot: ClusterSnapshot) -> str:
    """The state of `node`, and whether it is this one."""
    return node.state.value + (" (here)" if node.id == snapshot.self_node else "")


def node_rows(node: Node, snapshot: ClusterSnapshot) -> list[tuple[str, str]]:
    """Lines about `node`."""
    rows = [
        ("id", str(node.id)),
        ("name", node.name or "-"),
        ("state", node_state(node, snapshot)),
        ("address", node.bind_addr),
        ("data dir", node.data_dir),
        ("backend", node.vm_backend),
        ("labels", _map(node.labels)),
    ]
    if node.capacity is not None:
        rows.append(("capacity", f"{node.capacity.vcpus or '-'} vcpus, {node.capacity.memory or '-'} MB"))
    placed = sorted(vm.name for vm in snapshot.vms.values() if vm.node_id == node.id)
    rows.append(("vms", ", ".join(placed) or "-"))
    return rows


def vm_rows(vm: Vm, snapshot: ClusterSnapshot) -> list[tuple[str, str]]:
    """Lines about `vm`."""
    rows = [
        ("name", vm.name),
        ("id", vm.id or "-"),
        ("size", f"{vm.vcpus} vcpus, {vm.memory} MB"),
        ("desired", vm.desired_state.value),
        ("hold", f"{vm.hold.value}: `blixard vm release {vm.name}` lets it start" if vm.hold else "-"),
        ("node", "-" if vm.node_id is None else str(vm.node_id)),
        ("tenant", vm.tenant_id),
        ("priority", str(vm.priority)),
        ("address", vm.ip_address or "-"),
        ("config", vm.config_path or "-"),
        ("labels", _map(vm.labels)),
        ("metadata", _map(vm.metadata or {})),
    ]
    if vm.untrusted:
        rows.append(("untrusted", f"{', '.join(vm.untrusted)}: `blixard vm trust {vm.name}` accepts them"))
    rows += [("disk", _disk(disk, snapshot.contents.get(vm.key_of(disk)))) for disk in vm.disks]
    rows += [("file", f"{file.name}, {file.role.value}, {'inline' if file.inline else 'content'}") for file in vm.files]
    for network in vm.networks:
        joins = [f"{key} {value}" for key in ("network", "bridge", "mac", "ip") if (value := getattr(network, key))]
        rows.append(("network", ", ".join([network.name, *joins])))
    return rows


def _disk(disk: Disk, content: Content | None) -> str:
    parts = [disk.name, disk.format.value, human.size(disk.size_bytes), disk.bus]
    if disk.boot_index is not None:
        parts.append(f"boot {disk.boot_index}")
    if disk.read_only:
        parts.append("read-only")
    if content is None:
        parts.append("no content here")
    elif content.path is not None:
        parts.append(f"in place at {content.path}")
    return ", ".join(parts)


def _map(given: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(given.items())) or "-"
