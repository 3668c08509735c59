import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from blixard.errors import UnsupportedVersion
from blixard.model.codec import to_object
from blixard.ports import StateChange
from blixard.store.history import History, HistoryEntry
from blixard.store.sqlite.store import SqliteStore
from support.faults import killed_at, operations
from support.state import NOON, uid


def make_entry(verb: str = "cluster export", **fields: Any) -> HistoryEntry:
    given: dict[str, Any] = {"time": NOON, "exit_code": 0, "os_user": "root", "host": "node-1"}
    return HistoryEntry(verb=verb, **(given | fields))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with History(path) as opened:
        yield opened


def test_entries_come_newest_first_and_whole(history: History) -> None:
    full = make_entry(
        sudo_user="anna",
        options={"output": "backup.json.gz", "only": ["vm=web-*"]},
        scope={"only": ["vm=web-*"]},
        document="ab" * 32,
        place="/backup/backup.json.gz",
        receivers=("peer",),
        images=True,
        size_bytes=5,
        seconds=1.5,
        revision=7,
    )
    history.append(full)
    history.append(make_entry("cluster import", time=NOON + timedelta(hours=1), exit_code=11, error="a bit is wrong"))

    assert [each.entry.verb for each in history.entries()] == ["cluster import", "cluster export"]
    assert history.entries()[1].entry == full
    assert len(history.entries(limit=1)) == 1


def test_an_entry_is_found_by_the_digest_of_its_document(history: History) -> None:
    history.append(make_entry(document="ab" * 32))
    history.append(make_entry("cluster import", document="ab" * 32))
    history.append(make_entry(document="cd" * 32))

    assert [each.entry.verb for each in history.find("ab" * 32)] == ["cluster import", "cluster export"]
    assert history.find("00" * 32) == ()


def test_entries_keep_apart_what_failed_and_what_had_images(history: History) -> None:
    history.append(make_entry(images=True, revision=1))
    history.append(make_entry(images=False, revision=2))
    history.append(make_entry(images=True, revision=3, exit_code=30))
    kept = [each.entry for each in history.entries()]

    assert [(entry.revision, entry.images, entry.exit_code) for entry in kept] == [
        (3, True, 30),
        (2, False, 0),
        (1, True, 0),
    ]


def test_the_history_is_append_only(path: Path, history: History) -> None:
    history.append(make_entry())
    database = sqlite3.connect(path)

    for statement in ("DELETE FROM entries", "UPDATE entries SET verb = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    database.close()


def test_a_long_error_is_cut(history: History) -> None:
    history.append(make_entry(error="x" * 100_000))

    assert len(history.entries()[0].entry.error or "") < 3000


def test_a_history_of_a_newer_blixard_is_refused(path: Path, history: History) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()

    with pytest.raises(UnsupportedVersion):
        History(path)


def test_fields_of_a_newer_blixard_are_passed_over(path: Path, history: History) -> None:
    newer = msgspec.json.encode({**to_object(make_entry()), "new_field": 1})
    database = sqlite3.connect(path)
    database.execute("INSERT INTO entries (verb, exit_code, images, json) VALUES ('cluster export', 0, 0, ?)", (newer,))
    database.commit()
    database.close()

    assert history.entries()[0].entry == make_entry()


def make_store(path: Path, changes: int) -> None:
    SqliteStore.create(path, cluster_id=uid(9), name="web")
    store = SqliteStore(path)
    for number in range(changes):
        store.apply(StateChange(history=to_object(make_entry("cluster import", revision=number))), number)
    store.close()


def absorb(state: Path, history: Path) -> int:
    with SqliteStore(state) as store, History(history) as opened:
        return opened.absorb(store.books)


def test_the_outbox_is_brought_in_once_and_in_order(tmp_path: Path) -> None:
    make_store(tmp_path / "state.db", 3)
    new = [absorb(tmp_path / "state.db", tmp_path / "history.db") for _ in range(2)]
    with History(tmp_path / "history.db") as history:
        revisions = [each.entry.revision for each in history.entries()]

    assert new == [3, 0]
    assert revisions == [2, 1, 0]


def test_a_delivery_that_is_killed_anywhere_brings_each_entry_once(tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    make_store(tmp_path / "count" / "state.db", 2)
    count = len(operations(lambda: absorb(tmp_path / "count" / "state.db", tmp_path / "count" / "history.db")))
    for number in range(count):
        folder = tmp_path / str(number)
        folder.mkdir()
        make_store(folder / "state.db", 2)

        assert killed_at(number, partial(absorb, folder / "state.db", folder / "history.db"))
        absorb(folder / "state.db", folder / "history.db")
        with History(folder / "history.db") as history:
            assert [each.entry.revision for each in history.entries()] == [1, 0]
    assert count > 8
