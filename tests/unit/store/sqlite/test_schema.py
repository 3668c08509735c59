from pathlib import Path

import pytest
from msgspec import Struct

from blixard.errors import StorageError, UnsupportedVersion
from blixard.files.database import Database
from blixard.model.changes import ImportRow, UndoEntry, UndoSide, UndoSummary
from blixard.model.structs import Content, Disk, File, Network, Node, Origin, Provenance, Vm
from blixard.ports import StateChange
from blixard.store.sqlite.schema import STATE_STEPS, copy_path
from blixard.store.sqlite.store import SqliteStore
from support.faults import killed_at, names, operations
from support.state import make_vm, uid


def add_column(database: Database) -> None:
    database.write("ALTER TABLE vms ADD COLUMN colour TEXT DEFAULT 'green'")


def break_down(database: Database) -> None:
    database.write("DELETE FROM vms")
    database.write("this is not SQL")


NEXT = (*STATE_STEPS, add_column)
BROKEN = (*STATE_STEPS, break_down)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    SqliteStore.create(path, cluster_id=uid(9), name="web")
    store = SqliteStore(path)
    store.apply(StateChange(put_vms=(make_vm(),)), 0)
    store.close()
    return path


def colours(path: Path) -> list[tuple[str]]:
    database = Database(path)
    try:
        return database.read("SELECT colour FROM vms")
    finally:
        database.close()


def open_next(path: Path) -> None:
    SqliteStore(path, steps=NEXT).close()


def test_an_old_store_is_migrated_and_a_copy_is_kept(old: Path) -> None:
    open_next(old)
    kept = SqliteStore(copy_path(old, 1))

    assert colours(old) == [("green",)]
    assert list(kept.snapshot().vms) == ["web-1"]
    assert copy_path(old, 1).stat().st_mode & 0o777 == 0o600
    kept.close()


def test_a_migrated_store_is_not_migrated_again(old: Path) -> None:
    open_next(old)
    copy_path(old, 1).unlink()
    open_next(old)

    assert names(old.parent) == ["state.db"]


def test_a_newer_store_is_refused_and_left_alone(old: Path) -> None:
    open_next(old)
    content = old.read_bytes()
    with pytest.raises(UnsupportedVersion, match="schema 2, this version of blixard knows up to 1") as caught:
        SqliteStore(old)

    assert caught.value.exit_code == 12
    assert "update blixard" in (caught.value.hint or "")
    assert old.read_bytes() == content


def test_a_migration_that_fails_changes_nothing(old: Path) -> None:
    with pytest.raises(StorageError, match="syntax error"):
        SqliteStore(old, steps=BROKEN)
    store = SqliteStore(old)

    assert list(store.snapshot().vms) == ["web-1"]
    store.close()


def test_a_migration_that_is_killed_anywhere_is_done_by_the_next_command(tmp_path: Path, old: Path) -> None:
    original = old.read_bytes()
    count = len(operations(lambda: open_next(old)))
    for number in range(count):
        for each in tmp_path.iterdir():
            each.unlink()
        old.write_bytes(original)

        assert killed_at(number, lambda: open_next(old))
        open_next(old)
        assert colours(old) == [("green",)]
        assert set(names(tmp_path)) == {"state.db", "state.db.schema-1"}
    assert count > 5


STORED = {
    Node: "id data_dir bind_addr use_tailscale vm_backend join_addr transport_config topology iroh_relay_url"
    " metrics_port name endpoint_id labels capacity state unknown",
    Vm: "name config_path vcpus memory tenant_id ip_address metadata anti_affinity priority preemptible"
    " locality_preference health_check_config id origin node_id desired_state hold untrusted labels disks files"
    " networks boot unknown",
    Disk: "name format size_bytes bus boot_index read_only source image unknown",
    File: "role name size_bytes text base64 image unknown",
    Network: "name network bridge mac ip unknown",
    Origin: "cluster_id vm_id",
    Content: "file path size_bytes format backing digest stamp",
    Provenance: "cluster_id cluster_name exported_at document imported_at mode edited partial kept",
    UndoEntry: "id made_at verb title import_id created_cluster pinned before after",
    UndoSide: "nodes vms contents provenance",
    UndoSummary: "id made_at verb title created_cluster pinned files held_bytes",
    ImportRow: "id key started_at document files done",
}
"""Fields of what rows hold, as the layout of today (`len(STATE_STEPS)`) has them."""


@pytest.mark.parametrize("kind", STORED)
def test_a_field_more_is_a_layout_more(kind: type[Struct]) -> None:
    """A new field needs a step in `STATE_STEPS`, and then its name here.

    The step does two things. By the number it leaves, an older blixard says "update blixard" and not that the database
    is damaged. And it takes the field out of `unknown`, where an older one kept it when it came in a file.
    """
    assert (" ".join(kind.__struct_fields__), len(STATE_STEPS)) == (STORED[kind], 1)
