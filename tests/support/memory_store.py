"""A `StateStore` and its `NodeBooks` in memory, for tests of what is above; they pass the suites of the real ones."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from types import MappingProxyType

from msgspec.structs import replace

from blixard.closing import Closing
from blixard.errors import Conflict, NotFound
from blixard.model.structs import ClusterSnapshot, JsonObject, RaftState, Vm
from blixard.ports import ImportRow, StateChange, UndoEntry, UndoSummary


class MemoryCluster:
    """A cluster that several `MemoryStore`s share."""

    def __init__(self, snapshot: ClusterSnapshot) -> None:
        self.lock = threading.Lock()
        self.snapshot = snapshot
        self.undo: dict[int, UndoEntry] = {}
        self.last_undo = 0
        self.imports: dict[str, ImportRow] = {}
        self.outbox: dict[str, JsonObject] = {}

    def open(self) -> MemoryStore:
        return MemoryStore(self)

    def open_with_books(self) -> tuple[MemoryStore, MemoryBooks]:
        return MemoryStore(self), MemoryBooks(self)


class MemoryStore(Closing):
    """See `ports.StateStore`."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    def snapshot(self) -> ClusterSnapshot:
        return self._cluster.snapshot

    def apply(self, change: StateChange, expected_revision: int) -> int:
        with self._cluster.lock:
            now = self._cluster.snapshot
            if now.revision != expected_revision:
                raise Conflict(f"the state moved from revision {expected_revision} to {now.revision} meanwhile")
            if change.import_done is not None and change.import_done not in self._cluster.imports:
                raise Conflict(f"import `{change.import_done}` is not under way any more")
            self._cluster.snapshot = changed(now, change)
            self._record(change)
            return self._cluster.snapshot.revision

    def raft_state(self) -> RaftState:
        now = self._cluster.snapshot
        return RaftState(leader_id=now.self_node, members=(now.self_node,), engine="memory", index=now.revision)

    def undo_entry(self, entry_id: int) -> UndoEntry:
        if entry_id not in self._cluster.undo:
            raise NotFound(f"no undo entry {entry_id}")
        return self._cluster.undo[entry_id]

    def undo_entries(self) -> tuple[UndoSummary, ...]:
        return tuple(self._cluster.undo[number].summary() for number in sorted(self._cluster.undo, reverse=True))

    def pin_undo(self, entry_id: int, *, pinned: bool) -> None:
        if entry_id not in self._cluster.undo:
            raise NotFound(f"no undo entry {entry_id}")
        self._cluster.undo[entry_id] = replace(self._cluster.undo[entry_id], pinned=pinned)

    def close(self) -> None:
        pass

    def _record(self, change: StateChange) -> None:
        cluster = self._cluster
        for number in change.drop_undo:
            cluster.undo.pop(number, None)
        for number in change.expire_undo:
            if number in cluster.undo and not cluster.undo[number].pinned:
                del cluster.undo[number]
        if change.undo is not None:
            cluster.last_undo += 1
            cluster.undo[cluster.last_undo] = replace(change.undo, id=cluster.last_undo)
        if change.import_done is not None:
            cluster.imports[change.import_done] = replace(cluster.imports[change.import_done], done=True)
        if change.history is not None:
            cluster.outbox[secrets.token_hex(16)] = change.history


class MemoryBooks(Closing):
    """See `ports.NodeBooks`."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    def begin_import(self, row: ImportRow) -> None:
        self._cluster.imports[row.id] = row

    def imports(self) -> tuple[ImportRow, ...]:
        return tuple(self._cluster.imports.values())

    def forget_import(self, import_id: str) -> None:
        self._cluster.imports.pop(import_id, None)

    def history_outbox(self) -> tuple[tuple[str, JsonObject], ...]:
        return tuple(self._cluster.outbox.items())

    def clear_history_outbox(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._cluster.outbox.pop(key, None)

    def close(self) -> None:
        pass


def changed(now: ClusterSnapshot, change: StateChange) -> ClusterSnapshot:
    """The state after `change`.

    Raises:
        Conflict: two VMs would have one name.
    """
    nodes = {number: node for number, node in now.nodes.items() if number not in change.delete_nodes}
    nodes |= {node.id: node for node in change.put_nodes}
    contents = {key: content for key, content in now.contents.items() if key not in change.delete_contents}
    contents |= dict(change.put_contents)
    return ClusterSnapshot(
        id=now.id,
        name=change.rename_cluster or now.name,
        revision=max(change.raise_revision_to, now.revision + 1),
        nodes=MappingProxyType(dict(sorted(nodes.items()))),
        vms=MappingProxyType(_changed_vms(now, change)),
        contents=MappingProxyType(dict(sorted(contents.items()))),
        provenance=None if change.clear_provenance else change.provenance or now.provenance,
        self_node=now.self_node if change.self_node is None else change.self_node,
    )


def _changed_vms(now: ClusterSnapshot, change: StateChange) -> dict[str, Vm]:
    by_id = {key: vm for key, vm in now.vm_by_id().items() if key not in change.delete_vms}
    by_id |= {vm.id: vm for vm in change.put_vms if vm.id is not None}
    by_name: dict[str, Vm] = {}
    for vm in sorted(by_id.values(), key=lambda vm: vm.name):
        if vm.name in by_name:
            raise Conflict(f"two VMs would have the name `{vm.name}`")
        by_name[vm.name] = vm
    return by_name
