"""The embedded store: a cluster's state in one SQLite file, no server.

A VM is one row of JSON with its id and name beside it: that is what the verbs read and write, whole. Reading joins
many rows to one array and decodes them at once, which is several times faster than one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from blixard import files
from blixard.closing import Closing
from blixard.errors import Conflict, InternalError, NotFound, StorageError
from blixard.files.database import Database
from blixard.model.changes import StateChange, UndoEntry, UndoSummary
from blixard.model.collection import no_collection
from blixard.model.structs import (
    ClusterSnapshot,
    Content,
    ContentKey,
    ContentKind,
    Node,
    Provenance,
    RaftState,
    Vm,
)
from blixard.store.node_books import SqliteBooks
from blixard.store.rows import pack, structs_of, unpack
from blixard.store.sqlite.schema import STATE_STEPS, Step, migrate

_encode = msgspec.json.Encoder().encode
_KINDS = {kind.value: kind for kind in ContentKind}
_MANY = 1000


class SqliteStore(Closing):
    """`StateStore` in the file `path`; used by one thread.

    Args:
        path: of an existing `state.db`; an older layout is migrated.
        name: what the cluster is called, when that is known better than here: the directory's name is the truth on
            this node, and a rename that was killed may not have reached the file.
        steps: the layouts; another table only in tests.

    Attributes:
        books: this node's, in the same file; closed with the store.

    Raises:
        StorageError: it is not there, damaged, or has no cluster in it.
        UnsupportedVersion: it was made by a newer blixard.
    """

    def __init__(self, path: Path, *, name: str | None = None, steps: Sequence[Step] = STATE_STEPS) -> None:
        self._database = Database(path)
        self._name = name
        self.books = SqliteBooks(self._database)
        try:
            migrate(self._database, steps)
            self._cluster_row()
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def create(cls, path: Path, *, cluster_id: str, name: str, self_node: int = 1, nodes: Iterable[Node] = ()) -> None:
        """Make `path`, the state of a new cluster at revision 0; nothing stays open.

        Raises:
            StorageError: the file exists, or cannot be made.
        """
        if files.is_there(path):
            raise StorageError(f"cannot create `{path}`: it exists")
        database = Database(path, make=True)
        try:
            migrate(database, STATE_STEPS)
            with database.writing():
                database.write("INSERT INTO cluster VALUES (1, ?, ?, '0', ?, NULL)", (cluster_id, name, str(self_node)))
                database.write_many(
                    "INSERT INTO nodes VALUES (?, ?)", [(str(each.id), _encode(each)) for each in nodes]
                )
        finally:
            database.close()

    def snapshot(self) -> ClusterSnapshot:
        """See `StateStore.snapshot`."""
        with no_collection(), self._database.reading():
            cluster_id, name, revision, self_node, provenance = self._cluster_row()
            return ClusterSnapshot(
                id=cluster_id,
                name=self._name or name,
                revision=int(revision),
                nodes=MappingProxyType(self._nodes()),
                vms=MappingProxyType(self._vms()),
                contents=MappingProxyType(self._contents()),
                provenance=self._provenance(provenance),
                self_node=int(self_node),
            )

    def apply(self, change: StateChange, expected_revision: int) -> int:
        """See `StateStore.apply`."""
        with self._database.writing():
            revision = int(self._cluster_row()[2])
            if revision != expected_revision:
                raise Conflict(
                    f"the state of cluster `{self._cluster_row()[1]}` moved from revision {expected_revision} to "
                    f"{revision} meanwhile",
                    hint="run the command again: it plans on the state as it is now",
                )
            revision = max(change.raise_revision_to, revision + 1)
            # first, as its text may be the largest: the pages of all that follows are kept until the commit
            self._apply_undo(change)
            self._apply_nodes(change)
            self._apply_vms(change)
            self._apply_contents(change)
            self.books.write_down(change)
            self._apply_cluster(change, revision)
        return revision

    def raft_state(self) -> RaftState:
        """See `StateStore.raft_state`: one node that agrees with itself."""
        cluster_id, _, revision, self_node, _ = self._cluster_row()
        node = int(self_node)
        return RaftState(
            term=0, leader_id=node, members=(node,), engine="sqlite", index=int(revision), cluster_id=cluster_id
        )

    def undo_entry(self, entry_id: int) -> UndoEntry:
        """See `StateStore.undo_entry`."""
        rows = self._database.read("SELECT pinned, json FROM undo WHERE id = ?", (entry_id,))
        if not rows:
            raise self._no_undo(entry_id)
        [(pinned, stored)] = rows
        (entry,) = structs_of(self._database, [(unpack(stored, self._database),)], UndoEntry)
        return msgspec.structs.replace(entry, id=entry_id, pinned=bool(pinned))

    def undo_entries(self) -> tuple[UndoSummary, ...]:
        """See `StateStore.undo_entries`."""
        rows = self._database.read("SELECT id, pinned, summary FROM undo ORDER BY id DESC")
        entries = structs_of(self._database, [row[2:] for row in rows], UndoSummary)
        return tuple(
            msgspec.structs.replace(entry, id=row[0], pinned=bool(row[1]))
            for row, entry in zip(rows, entries, strict=True)
        )

    def pin_undo(self, entry_id: int, *, pinned: bool) -> None:
        """See `StateStore.pin_undo`."""
        if not self._database.write("UPDATE undo SET pinned = ? WHERE id = ?", (pinned, entry_id)):
            raise self._no_undo(entry_id)

    def _no_undo(self, entry_id: int) -> NotFound:
        return NotFound(f"no undo entry {entry_id} in `{self._database.path}`", hint="see `cluster undo list`")

    def close(self) -> None:
        """See `StateStore.close`."""
        self._database.close()

    def _nodes(self) -> dict[int, Node]:
        nodes = structs_of(self._database, self._database.read("SELECT json FROM nodes"), Node)
        return {node.id: node for node in sorted(nodes, key=lambda node: node.id)}

    def _vms(self) -> dict[str, Vm]:
        turns = self._database.read_in_turns("SELECT json FROM vms ORDER BY name", _MANY)
        return {vm.name: vm for rows in turns for vm in structs_of(self._database, rows, Vm)}

    def _contents(self) -> dict[ContentKey, Content]:
        rows = self._database.read("SELECT json, vm_id, kind, name FROM contents ORDER BY vm_id, kind, name")
        keys = [ContentKey(vm_id, _KINDS[kind], name) for _, vm_id, kind, name in rows]
        return dict(zip(keys, structs_of(self._database, rows, Content), strict=True))

    def _apply_nodes(self, change: StateChange) -> None:
        write_many = self._database.write_many
        if change.delete_nodes:
            write_many("DELETE FROM nodes WHERE id = ?", [(str(each),) for each in change.delete_nodes])
        if change.put_nodes:
            rows = [(str(node.id), _encode(node)) for node in change.put_nodes]
            write_many("INSERT OR REPLACE INTO nodes VALUES (?, ?)", rows)

    def _apply_vms(self, change: StateChange) -> None:
        # what is put is deleted first: two VMs may swap names, and names are unique at every moment
        self._delete_vms({*change.delete_vms, *(_id_of(vm) for vm in change.put_vms)})
        if not change.put_vms:
            return
        rows = ((vm.id, vm.name, _encode(vm)) for vm in change.put_vms)  # one at a time: all of them are 66 MB
        put = self._database.write_many("INSERT OR IGNORE INTO vms VALUES (?, ?, ?)", rows)
        if put != len(change.put_vms):
            raise self._name_conflict(change.put_vms)

    def _delete_vms(self, gone: set[str]) -> None:
        if len(gone) > _MANY:
            # deleting 100,000 rows that are not there takes 0.6 s, looking first 0.05 s (measured)
            there = {row[0] for row in self._database.read("SELECT id FROM vms")}
            if there <= gone:
                self._database.write("DELETE FROM vms")
                return
            gone &= there
        if gone:
            self._database.write_many("DELETE FROM vms WHERE id = ?", [(each,) for each in sorted(gone)])

    def _name_conflict(self, vms: tuple[Vm, ...]) -> Conflict:
        """An insert was ignored: another VM has the name."""
        there = dict(self._database.read("SELECT name, id FROM vms"))
        name = next((vm.name for vm in vms if there.get(vm.name) != vm.id), vms[0].name)
        return Conflict(f"two VMs would have the name `{name}`", hint="rename one of them first")

    def _apply_contents(self, change: StateChange) -> None:
        if change.delete_contents:
            gone = [(key.vm_id, key.kind.value, key.name) for key in change.delete_contents]
            self._database.write_many("DELETE FROM contents WHERE vm_id = ? AND kind = ? AND name = ?", gone)
        if change.put_contents:
            rows = [(key.vm_id, key.kind.value, key.name, _encode(content)) for key, content in change.put_contents]
            self._database.write_many("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", rows)

    def _apply_undo(self, change: StateChange) -> None:
        if change.drop_undo:
            self._database.write_many("DELETE FROM undo WHERE id = ?", [(each,) for each in change.drop_undo])
        if change.expire_undo:
            rows = [(each,) for each in change.expire_undo]
            self._database.write_many("DELETE FROM undo WHERE id = ? AND NOT pinned", rows)
        if change.undo is not None:
            row = (change.undo.pinned, _encode(change.undo.summary()), pack(_encode(change.undo)))
            self._database.write("INSERT INTO undo (pinned, summary, json) VALUES (?, ?, ?)", row)

    def _apply_cluster(self, change: StateChange, revision: int) -> None:
        write = self._database.write
        write("UPDATE cluster SET revision = ?", (str(revision),))
        if change.rename_cluster is not None:
            write("UPDATE cluster SET name = ?", (change.rename_cluster,))
        if change.provenance is not None:
            write("UPDATE cluster SET provenance = ?", (_encode(change.provenance),))
        elif change.clear_provenance:
            write("UPDATE cluster SET provenance = NULL")
        if change.self_node is not None:
            write("UPDATE cluster SET self_node = ?", (str(change.self_node),))

    def _cluster_row(self) -> Any:
        rows = self._database.read("SELECT id, name, revision, self_node, provenance FROM cluster")
        if not rows:
            raise StorageError(
                f"`{self._database.path}` holds no cluster", hint="it was not made by blixard, or by half"
            )
        return rows[0]

    def _provenance(self, text: bytes | None) -> Provenance | None:
        return None if text is None else structs_of(self._database, [(text,)], Provenance)[0]


def _id_of(vm: Vm) -> str:
    if vm.id is None:
        raise InternalError(f"VM `{vm.name}` reached the store without an id")
    return vm.id
