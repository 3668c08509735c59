"""What every `NodeBooks` must do. A test class derives from `BooksConformance` and gives the fixture `cluster`.

Books are those of a store: what they say of a change is tried with the store that applies it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest

from blixard.errors import Conflict
from blixard.ports import NodeBooks, StateChange, StateStore
from support.state import make_import, make_undo, make_vm, uid

Pair = tuple[StateStore, NodeBooks]


class BookedCluster(Protocol):
    """A new cluster without nodes and VMs, at revision 0, and one node's books of it."""

    def open_with_books(self) -> Pair:
        """Another client of the same cluster on the same node."""


def everything(pair: Pair) -> object:
    """What a change moves, for comparing before and after."""
    store, books = pair
    return store.snapshot(), store.undo_entries(), books.imports(), books.history_outbox()


class BooksConformance:
    """The contract of `ports.NodeBooks`, one rule a test."""

    @pytest.fixture
    def pair(self, cluster: BookedCluster) -> Iterator[Pair]:
        store, books = cluster.open_with_books()
        with store, books:
            yield store, books

    @pytest.fixture
    def store(self, pair: Pair) -> StateStore:
        return pair[0]

    @pytest.fixture
    def books(self, pair: Pair) -> NodeBooks:
        return pair[1]

    def test_the_books_of_a_new_cluster_are_empty(self, books: NodeBooks) -> None:
        assert (books.imports(), books.history_outbox()) == ((), ())

    def test_an_import_is_begun_done_and_forgotten(self, store: StateStore, books: NodeBooks) -> None:
        books.begin_import(make_import(1))
        books.begin_import(make_import(2))
        books.begin_import(make_import(1, files=("a.raw",), document="ab" * 32))
        begun = {row.id: row for row in books.imports()}
        store.apply(StateChange(import_done=uid(1)), 0)
        done = {row.id: row.done for row in books.imports()}
        books.forget_import(uid(1))
        books.forget_import(uid(1))

        assert begun == {uid(1): make_import(1, files=("a.raw",), document="ab" * 32), uid(2): make_import(2)}
        assert done == {uid(1): True, uid(2): False}
        assert books.imports() == (make_import(2),)

    def test_an_import_that_was_given_up_cannot_be_completed(self, pair: Pair, store: StateStore) -> None:
        before = everything(pair)
        with pytest.raises(Conflict, match=uid(1)):
            store.apply(StateChange(put_vms=(make_vm(),), import_done=uid(1), history={"verb": "import"}), 0)

        assert everything(pair) == before

    @pytest.mark.parametrize("expected", [0, 1, 99])
    def test_a_change_that_is_refused_is_not_in_the_books(
        self, pair: Pair, store: StateStore, books: NodeBooks, expected: int
    ) -> None:
        store.apply(StateChange(put_vms=(make_vm("web"),), undo=make_undo()), 0)
        books.begin_import(make_import())
        before = everything(pair)
        with pytest.raises(Conflict, match="`web`" if expected == 1 else "revision"):
            store.apply(
                StateChange(
                    put_vms=(make_vm("web", number=2),),
                    undo=make_undo("another"),
                    drop_undo=(1,),
                    import_done=uid(1),
                    history={"verb": "import"},
                ),
                expected,
            )

        assert everything(pair) == before

    def test_the_outbox_keeps_entries_until_they_are_cleared(self, store: StateStore, books: NodeBooks) -> None:
        for number in range(3):
            store.apply(StateChange(history={"verb": "import", "number": number}), number)
        waiting = books.history_outbox()
        books.clear_history_outbox([waiting[0][0], waiting[2][0], "never there"])
        left = books.history_outbox()
        books.clear_history_outbox([waiting[0][0]])

        assert [entry["number"] for _, entry in waiting] == [0, 1, 2]
        assert len({key for key, _ in waiting}) == 3
        assert left == books.history_outbox() == (waiting[1],)

    def test_another_command_on_the_same_node_sees_them(
        self, cluster: BookedCluster, pair: Pair, store: StateStore, books: NodeBooks
    ) -> None:
        books.begin_import(make_import(1))
        books.begin_import(make_import(2))
        store.apply(StateChange(undo=make_undo(), import_done=uid(1), history={"verb": "x"}), 0)
        other = cluster.open_with_books()
        with other[0], other[1]:
            assert everything(other) == everything(pair)

    def test_closing_twice_is_harmless(self, cluster: BookedCluster) -> None:
        for each in cluster.open_with_books() * 2:
            each.close()
