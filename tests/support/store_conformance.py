"""What every `StateStore` must do. A test class derives from `StoreConformance` and gives the fixture `cluster`.

Nothing here knows how a store keeps its state: an adapter for a server runs the same lines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from msgspec.structs import replace

from blixard.errors import Conflict, NotFound
from blixard.model.structs import Hold, Origin, RaftState
from blixard.ports import StateChange, StateStore, UndoSide
from support.state import make_content, make_node, make_provenance, make_undo, make_vm, uid


class StoredCluster(Protocol):
    """A new cluster named `web` with id `uid(9)`, self node 1, no nodes, no VMs, at revision 0."""

    def open(self) -> StateStore:
        """Another client of the same cluster; may be used in a thread of its own."""


def everything(store: StateStore) -> object:
    """All that a store shows, for comparing before and after."""
    return store.snapshot(), store.undo_entries(), store.raft_state()


class StoreConformance:
    """The contract of `ports.StateStore`, one rule a test."""

    @pytest.fixture
    def store(self, cluster: StoredCluster) -> Iterator[StateStore]:
        with cluster.open() as opened:
            yield opened

    def test_a_new_cluster_is_empty_at_revision_0(self, store: StateStore) -> None:
        snapshot = store.snapshot()

        assert (snapshot.id, snapshot.name, snapshot.revision, snapshot.self_node) == (uid(9), "web", 0, 1)
        assert (dict(snapshot.nodes), dict(snapshot.vms), dict(snapshot.contents)) == ({}, {}, {})
        assert snapshot.provenance is None
        assert everything(store) == (snapshot, (), store.raft_state())

    def test_what_is_put_is_read_back_whole(self, store: StateStore) -> None:
        vm = make_vm(
            "web-1",
            metadata={"owner": "Zoë \u0000 \U0001f600"},
            priority=7,
            hold=Hold.IMPORTED,
            origin=Origin(cluster_id=uid(4), vm_id=uid(5)),
            untrusted=("/boot",),
            labels={"": "empty key"},
            boot={"kernel": {"args": [1, -1.5, None, True, 1 << 64, 1e300]}},
            unknown={"x-ours": {"deep": [[]]}},
            node_id=(1 << 64) - 1,
        )
        node = make_node((1 << 64) - 1, transport_config={"relay": None}, labels={"rack": "b"}, unknown={"new": 1})
        content = make_content(path="/srv/images/ubuntu 24.04.img", file=None, digest="ab" * 32)
        store.apply(StateChange(put_vms=(vm,), put_nodes=(node,), put_contents=(content,)), 0)
        snapshot = store.snapshot()

        assert snapshot.vms == {"web-1": vm}
        assert snapshot.nodes == {node.id: node}
        assert snapshot.contents == dict([content])

    def test_another_client_sees_it(self, cluster: StoredCluster, store: StateStore) -> None:
        store.apply(StateChange(put_vms=(make_vm(),), undo=make_undo()), 0)
        with cluster.open() as other:
            assert everything(other) == everything(store)

    def test_vms_are_by_name_and_nodes_by_number_in_order(self, store: StateStore) -> None:
        vms = [make_vm(name, number=number) for number, name in enumerate(["b", "a.10", "a-9", "B", "a"], start=1)]
        store.apply(StateChange(put_vms=tuple(vms), put_nodes=(make_node(10), make_node(9), make_node(100))), 0)
        snapshot = store.snapshot()

        assert list(snapshot.vms) == ["B", "a", "a-9", "a.10", "b"]
        assert list(snapshot.nodes) == [9, 10, 100]

    def test_a_snapshot_cannot_be_changed_and_does_not_change(self, store: StateStore) -> None:
        snapshot = store.snapshot()
        store.apply(StateChange(put_vms=(make_vm(),)), 0)

        assert not snapshot.vms
        for mapping in (snapshot.vms, snapshot.nodes, snapshot.contents):
            with pytest.raises(TypeError):
                mapping["x"] = None  # type: ignore[index]

    def test_putting_again_replaces(self, store: StateStore) -> None:
        store.apply(
            StateChange(put_vms=(make_vm(vcpus=1),), put_nodes=(make_node(),), put_contents=(make_content(),)), 0
        )
        vm, node, content = make_vm(vcpus=9), make_node(name="n1"), make_content(digest="cd" * 32)
        store.apply(StateChange(put_vms=(vm,), put_nodes=(node,), put_contents=(content,)), 1)
        snapshot = store.snapshot()

        assert list(snapshot.vms.values()) == [vm]
        assert list(snapshot.nodes.values()) == [node]
        assert dict(snapshot.contents) == dict([content])

    def test_deleting_deletes_and_what_is_not_there_is_fine(self, store: StateStore) -> None:
        key, content = make_content()
        store.apply(StateChange(put_vms=(make_vm(),), put_nodes=(make_node(),), put_contents=((key, content),)), 0)
        gone = StateChange(delete_vms=(uid(1), uid(77)), delete_nodes=(1, 77), delete_contents=(key,))
        store.apply(gone, 1)
        store.apply(gone, 2)
        snapshot = store.snapshot()

        assert not snapshot.vms
        assert not snapshot.nodes
        assert not snapshot.contents

    def test_contents_stay_until_the_change_deletes_them(self, store: StateStore) -> None:
        content = make_content()
        store.apply(StateChange(put_vms=(make_vm(),), put_contents=(content,)), 0)
        store.apply(StateChange(delete_vms=(uid(1),)), 1)

        assert dict(store.snapshot().contents) == dict([content])

    def test_a_deletion_comes_before_a_put_of_the_same(self, store: StateStore) -> None:
        (key, _), new = make_content(), make_content(digest="cd" * 32)
        store.apply(StateChange(put_vms=(make_vm(),), put_nodes=(make_node(),), put_contents=(make_content(),)), 0)
        change = StateChange(
            delete_vms=(uid(1),),
            put_vms=(make_vm(vcpus=9),),
            delete_nodes=(1,),
            put_nodes=(make_node(name="n"),),
            delete_contents=(key,),
            put_contents=(new,),
        )
        store.apply(change, 1)
        snapshot = store.snapshot()

        assert snapshot.vms["web-1"].vcpus == 9
        assert snapshot.nodes[1].name == "n"
        assert snapshot.contents[key] == new[1]

    def test_a_name_moves_to_another_vm_in_one_change(self, store: StateStore) -> None:
        store.apply(StateChange(put_vms=(make_vm("web", number=1),)), 0)
        store.apply(StateChange(delete_vms=(uid(1),), put_vms=(make_vm("web", number=2),)), 1)

        assert store.snapshot().vms["web"].id == uid(2)

    def test_two_vms_swap_their_names_in_one_change(self, store: StateStore) -> None:
        store.apply(StateChange(put_vms=(make_vm("a", number=1), make_vm("b", number=2))), 0)
        store.apply(StateChange(put_vms=(make_vm("b", number=1), make_vm("a", number=2))), 1)

        assert {name: vm.id for name, vm in store.snapshot().vms.items()} == {"a": uid(2), "b": uid(1)}

    @pytest.mark.parametrize("together", [True, False])
    def test_two_vms_cannot_have_one_name(self, store: StateStore, *, together: bool) -> None:
        one, two = make_vm("web", number=1), make_vm("web", number=2)
        if not together:
            store.apply(StateChange(put_vms=(one,)), 0)
        before = everything(store)
        with pytest.raises(Conflict, match="`web`"):
            store.apply(
                StateChange(put_vms=(one, two) if together else (make_vm("x", number=3), two), undo=make_undo()),
                store.snapshot().revision,
            )

        assert everything(store) == before

    def test_each_change_is_the_next_revision(self, store: StateStore) -> None:
        revisions = [store.apply(StateChange(), number) for number in range(3)]

        assert revisions == [1, 2, 3]
        assert store.snapshot().revision == 3

    @pytest.mark.parametrize(("raised", "expected"), [(0, 1), (1, 1), (41, 41), ((1 << 64) + 5, (1 << 64) + 5)])
    def test_a_revision_is_raised_and_never_lowered(self, store: StateStore, raised: int, expected: int) -> None:
        revision = store.apply(StateChange(raise_revision_to=raised), 0)

        assert revision == expected == store.snapshot().revision
        assert store.apply(StateChange(raise_revision_to=1), revision) == expected + 1

    @pytest.mark.parametrize("expected", [0, 2, 99])
    def test_a_change_planned_on_another_revision_changes_nothing(self, store: StateStore, expected: int) -> None:
        store.apply(StateChange(put_vms=(make_vm(),), undo=make_undo()), 0)
        before = everything(store)
        change = StateChange(
            put_vms=(make_vm("new", number=2),),
            delete_vms=(uid(1),),
            put_nodes=(make_node(),),
            rename_cluster="other",
            provenance=make_provenance(),
            self_node=5,
            undo=make_undo("another"),
            drop_undo=(1,),
        )
        with pytest.raises(Conflict, match="revision"):
            store.apply(change, expected)

        assert everything(store) == before

    def test_of_many_who_apply_at_once_one_wins(self, cluster: StoredCluster) -> None:
        outcomes = at_once(8, lambda number: race(cluster, number))
        store = cluster.open()
        snapshot = store.snapshot()
        store.close()

        assert sorted(outcomes) == ["conflict"] * 7 + ["won"]
        assert snapshot.revision == 1
        assert len(snapshot.vms) == 1

    def test_provenance_can_be_taken_away(self, store: StateStore) -> None:
        store.apply(StateChange(provenance=make_provenance()), 0)
        store.apply(StateChange(clear_provenance=True), 1)

        assert store.snapshot().provenance is None

    def test_name_provenance_and_own_node_are_set_and_stay(self, store: StateStore) -> None:
        provenance = make_provenance(cluster_id=uid(8), document="ef" * 32, edited=("vms",))
        store.apply(StateChange(rename_cluster="db", provenance=provenance, self_node=3), 0)
        store.apply(StateChange(), 1)
        snapshot = store.snapshot()

        assert (snapshot.id, snapshot.provenance, snapshot.self_node) == (uid(9), provenance, 3)
        assert self.shown_name(store) == "db"

    def shown_name(self, store: StateStore) -> str:
        """The cluster's name; a store whose name is decided elsewhere overrides this."""
        return store.snapshot().name

    def test_raft_state_follows_the_revision(self, store: StateStore) -> None:
        store.apply(StateChange(raise_revision_to=12), 0)
        raft = store.raft_state()

        assert isinstance(raft, RaftState)
        assert raft.index is not None
        assert raft.engine
        assert raft.leader_id in raft.members

    def test_undo_entries_are_newest_first_and_keep_what_they_hold(self, store: StateStore) -> None:
        before = UndoSide(
            vms=(make_vm(),), nodes=(make_node(),), contents=(make_content(),), provenance=make_provenance()
        )
        first = make_undo("first", before=before, import_id=uid(3), created_cluster=True)
        store.apply(StateChange(undo=first), 0)
        store.apply(StateChange(undo=make_undo("second", pinned=True)), 1)
        entries = store.undo_entries()

        assert [entry.title for entry in entries] == ["second", "first"]
        assert replace(store.undo_entry(entries[1].id), id=0) == first
        assert entries[1] == replace(first.summary(), id=entries[1].id)
        assert entries[1].files == (make_content()[1].file,)
        assert entries[0].pinned
        assert entries[0].id > entries[1].id > 0

    def test_an_undo_number_is_never_given_again(self, store: StateStore) -> None:
        store.apply(StateChange(undo=make_undo()), 0)
        [first] = store.undo_entries()
        store.apply(StateChange(drop_undo=(first.id, 99)), 1)
        emptied = store.undo_entries()
        store.apply(StateChange(undo=make_undo()), 2)
        [second] = store.undo_entries()

        assert emptied == ()
        assert second.id > first.id

    def test_what_retention_chose_stays_when_it_was_pinned_since(self, store: StateStore) -> None:
        store.apply(StateChange(undo=make_undo("first")), 0)
        store.apply(StateChange(undo=make_undo("second")), 1)
        second, first = store.undo_entries()
        store.pin_undo(first.id, pinned=True)
        store.apply(StateChange(expire_undo=(first.id, second.id, 99)), 2)
        kept = store.undo_entries()
        store.apply(StateChange(drop_undo=(first.id,)), 3)

        assert [entry.title for entry in kept] == ["first"]
        assert store.undo_entries() == ()

    def test_an_entry_is_pinned_and_unpinned_without_a_new_revision(self, store: StateStore) -> None:
        store.apply(StateChange(undo=make_undo()), 0)
        [entry] = store.undo_entries()
        store.pin_undo(entry.id, pinned=True)
        pinned = store.undo_entries()[0].pinned
        store.pin_undo(entry.id, pinned=False)

        assert pinned
        assert not store.undo_entries()[0].pinned
        assert store.snapshot().revision == 1

    def test_an_entry_that_is_not_there_is_not_found(self, store: StateStore) -> None:
        with pytest.raises(NotFound):
            store.undo_entry(7)

    def test_what_is_not_there_cannot_be_pinned(self, store: StateStore) -> None:
        with pytest.raises(NotFound, match="17"):
            store.pin_undo(17, pinned=True)

    def test_closing_twice_is_harmless(self, cluster: StoredCluster) -> None:
        store = cluster.open()
        store.close()
        store.close()


def race(cluster: StoredCluster, number: int) -> str:
    with cluster.open() as store:
        try:
            store.apply(StateChange(put_vms=(make_vm(f"vm-{number}", number=number + 1),)), 0)
        except Conflict:
            return "conflict"
    return "won"


def at_once(count: int, action: Callable[[int], str]) -> list[str]:
    """The results of `action` in that many threads that start together."""
    ready = threading.Barrier(count)
    results: list[str] = []

    def run(number: int) -> None:
        ready.wait()
        results.append(action(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
