"""One digest for a cluster's state: two states with the same digest are the same for every purpose of blixard.

The revision and the provenance are not in it: they tell how a state came about, not what it is.
"""

from __future__ import annotations

from typing import Any

from blixard.model.canonical import digest
from blixard.model.structs import ClusterSnapshot


def state_digest(snapshot: ClusterSnapshot) -> str:
    """BLAKE3 over nodes, VMs and where their contents lie, 64 hex digits; the order of objects does not matter."""
    state: dict[str, Any] = {
        "nodes": {str(node_id): node for node_id, node in snapshot.nodes.items()},
        "vms": dict(snapshot.vms),
        "contents": {"/".join(key_of): content for key_of, content in _contents(snapshot)},
        "self_node": snapshot.self_node,
    }
    return digest(state)


def _contents(snapshot: ClusterSnapshot) -> list[tuple[tuple[str, str, str], Any]]:
    return [((key.vm_id, key.kind.value, key.name), content) for key, content in snapshot.contents.items()]
