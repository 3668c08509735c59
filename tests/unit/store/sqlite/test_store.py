import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from blixard.errors import Conflict, InternalError, StorageError, StoreUnavailable
from blixard.ports import StateChange
from blixard.store.sqlite.store import SqliteStore
from support.faults import names
from support.state import make_import, make_node, make_provenance, make_undo, make_vm, uid


@pytest.fixture
def path(tmp_path: Path) -> Path:
    SqliteStore.create(tmp_path / "state.db", cluster_id=uid(9), name="web", self_node=4, nodes=(make_node(4),))
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def test_a_new_store_has_its_node_is_private_and_leaves_nothing_beside_it(path: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["state.db"]
    store = SqliteStore(path)
    beside = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)}

    assert dict(store.snapshot().nodes) == {4: make_node(4)}
    assert set(beside.values()) == {0o600}
    store.close()


def test_a_store_is_not_created_over_another(path: Path) -> None:
    with pytest.raises(StorageError, match="exists"):
        SqliteStore.create(path, cluster_id=uid(8), name="other")


def test_the_name_of_the_directory_is_the_truth_on_this_node(path: Path) -> None:
    store = SqliteStore(path, name="renamed")

    assert store.snapshot().name == "renamed"
    store.close()


def test_raft_facts_are_those_of_one_node_that_agrees_with_itself(store: SqliteStore) -> None:
    store.apply(StateChange(), 0)
    raft = store.raft_state()

    assert (raft.term, raft.leader_id, raft.members, raft.index) == (0, 4, (4,), 1)
    assert (raft.engine, raft.cluster_id) == ("sqlite", uid(9))


def test_what_a_change_did_is_told_by_state_undo_and_books(store: SqliteStore) -> None:
    provenance = make_provenance()
    store.books.begin_import(make_import(1))
    store.books.begin_import(make_import(2))
    store.apply(StateChange(put_vms=(make_vm(),), undo=make_undo(), provenance=provenance, import_done=uid(1)), 0)
    state = store.snapshot()

    assert (state.id, state.name, state.revision, state.provenance) == (uid(9), "web", 1, provenance)
    assert (len(state.nodes), len(state.vms), len(store.undo_entries())) == (1, 1, 1)
    assert [row.id for row in store.books.imports() if not row.done] == [uid(2)]


@pytest.mark.parametrize("kept", [0, 1])
def test_many_vms_are_replaced_at_once(store: SqliteStore, kept: int) -> None:
    first = tuple(make_vm(f"vm-{number}", number=number) for number in range(1, 2001))
    # shifted names: every insert would collide with an old row that is still there
    second = tuple(replace(vm, name=f"vm-{index}") for index, vm in enumerate(first[kept:], start=kept))
    store.apply(StateChange(put_vms=first), 0)
    if kept:
        store.apply(StateChange(put_vms=(replace(first[0], name="kept"),)), 1)
    store.apply(StateChange(put_vms=second), 1 + kept)
    vms = store.snapshot().vms

    assert len(vms) == 2000
    assert all(vms[vm.name] == vm for vm in second)


def test_a_vm_without_id_is_a_bug_of_ours(store: SqliteStore) -> None:
    with pytest.raises(InternalError):
        store.apply(StateChange(put_vms=(replace(make_vm(), id=None),)), 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"state\.db`: no such file"):
        SqliteStore(tmp_path / "state.db")
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"not a database, and long enough to be looked at " * 100])
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)

    with pytest.raises(StorageError) as caught:
        SqliteStore(tmp_path / "state.db")
    assert "state.db" in caught.value.message
    assert caught.value.hint


def test_a_damaged_page_is_a_storage_error_that_says_what_to_do(path: Path) -> None:
    store = SqliteStore(path)
    store.apply(StateChange(put_vms=tuple(make_vm(f"vm-{n}", number=n) for n in range(1, 200))), 0)
    store.close()
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 100] = b"\xff" * 100
    path.write_bytes(content)

    with pytest.raises(StorageError, match="damaged") as caught, SqliteStore(path) as damaged:
        damaged.snapshot()
    assert "cluster import" in (caught.value.hint or "")


def test_a_row_that_is_not_json_is_a_storage_error(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO vms VALUES ('1', 'web', x'7b')")
    database.close()

    with SqliteStore(path) as odd, pytest.raises(StorageError, match="a Vm in it"):
        odd.snapshot()


def test_a_writer_that_stays_is_reported_as_busy(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blixard.files.database.BUSY_SECONDS", 0.01)
    impatient = SqliteStore(path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="busy"):
            impatient.apply(StateChange(), 0)
        other.execute("ROLLBACK")
    other.close()

    assert impatient.apply(StateChange(), 0) == 1
    impatient.close()


def test_a_snapshot_is_taken_while_another_writes(path: Path, store: SqliteStore) -> None:
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE cluster SET revision = '77'")
        seen = store.snapshot().revision
        other.execute("COMMIT")
    other.close()

    assert seen == 0
    assert store.snapshot().revision == 77


def test_the_store_works_on_after_a_refused_change(store: SqliteStore) -> None:
    with pytest.raises(Conflict):
        store.apply(StateChange(import_done=uid(1)), 0)

    assert store.apply(StateChange(), 0) == 1
