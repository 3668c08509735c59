import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blixard.errors import StorageError, UnsupportedVersion
from blixard.plan.retention import TelemetryPolicy
from blixard.telemetry.points import LogLine, Point, Series, SeriesKind, Severity
from blixard.telemetry.store import TelemetryOrigin, TelemetryStore

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
EVER = (datetime(1971, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TelemetryStore]:
    with TelemetryStore(tmp_path / "telemetry.db") as opened:
        yield opened


def point(minutes: int = 0, value: float = 1) -> Point:
    series = Series("system.memory.usage", "By", SeriesKind.UPDOWN, (("system.memory.state", "used"),))
    return Point(series, NOW + timedelta(minutes=minutes), value, None)


def line(body: str, minutes: int = 0) -> LogLine:
    return LogLine(NOW + timedelta(minutes=minutes), Severity.INFO, body, {"exit": 0, "verb": "x"}, "ab" * 16)


def origin(document: str = "d1", minutes: int = 0) -> TelemetryOrigin:
    return TelemetryOrigin(
        cluster_name="old",
        cluster_id=None,
        exported_at=NOW,
        document=document,
        imported_at=NOW + timedelta(minutes=minutes),
    )


def test_what_is_kept_comes_back_whole(store: TelemetryStore) -> None:
    points = [point(0, 1), point(1, 2.5)]
    counter = Point(Series("c", "s", SeriesKind.COUNTER), NOW, 2**62, NOW - timedelta(hours=1))

    store.add_samples([*points, counter])
    store.add_log(line("done"))

    assert list(store.samples(*EVER)) == [counter, *points]
    assert list(store.logs(*EVER)) == [line("done")]


def test_a_window_includes_both_ends_and_nothing_else(store: TelemetryStore) -> None:
    store.add_samples([point(minute, minute) for minute in range(5)])
    for minute in range(5):
        store.add_log(line(str(minute), minute))
    window = (NOW + timedelta(minutes=1), NOW + timedelta(minutes=3))

    assert [each.value for each in store.samples(*window)] == [1, 2, 3]
    assert [each.body for each in store.logs(*window)] == ["1", "2", "3"]


def test_what_is_too_old_goes_at_the_next_write(tmp_path: Path) -> None:
    with TelemetryStore(tmp_path / "t.db", TelemetryPolicy(max_age=timedelta(hours=1))) as store:
        store.add_log(line("old"))
        store.add_samples([point()])
        store.add_imported(origin(), [("resourceLogs", {"a": 1})])

        store.add_log(line("new", minutes=61))

        assert [each.body for each in store.logs(*EVER)] == ["new"]
        assert list(store.samples(*EVER)) == []
        assert list(store.imported()) == []


def test_past_the_size_samples_go_before_imports_before_the_log(tmp_path: Path) -> None:
    with TelemetryStore(tmp_path / "t.db", TelemetryPolicy(max_bytes=300_000)) as store:
        store.add_log(line("first"))
        for minute in range(20):
            store.add_samples([point(minute, number) for number in range(1000)])

        store.add_imported(origin(minutes=30), [("resourceLogs", {"text": "x" * 1000})])
        store.add_log(line("last", minutes=30))

        assert len(list(store.samples(*EVER))) < 20_000
        assert [each.body for each in store.logs(*EVER)] == ["first", "last"]
        assert (tmp_path / "t.db").stat().st_size < 2_000_000


def test_an_import_over_the_size_is_not_kept_and_said(tmp_path: Path) -> None:
    with TelemetryStore(tmp_path / "t.db", TelemetryPolicy(max_bytes=300_000)) as store:
        assert store.add_imported(origin(), [("resourceLogs", {"text": "x" * 400_000})]) is None
        assert list(store.imported()) == []


def test_imported_telemetry_is_apart_and_names_its_origin(store: TelemetryStore) -> None:
    store.add_imported(origin(), [("resourceMetrics", {"a": 1}), ("resourceLogs", {"b": 2})])

    told = [(each.key, each.element, each.origin.cluster_name) for each in store.imported()]
    assert told == [("resourceMetrics", {"a": 1}, "old"), ("resourceLogs", {"b": 2}, "old")]
    assert list(store.samples(*EVER)) == []


def test_the_same_document_again_replaces_its_telemetry(store: TelemetryStore) -> None:
    store.add_imported(origin(), [("resourceLogs", {"a": 1})])
    store.add_imported(origin("d2"), [("resourceLogs", {"other": 1})])

    store.add_imported(origin(), [("resourceLogs", {"a": 2})])

    assert [each.element for each in store.imported()] == [{"a": 2}, {"other": 1}]


def test_telemetry_of_an_import_that_failed_can_be_dropped(store: TelemetryStore) -> None:
    made = store.add_imported(origin(), [("resourceLogs", {"a": 1})])
    assert made is not None

    store.drop_imported(made)
    store.drop_imported(made)

    assert list(store.imported()) == []


def test_an_import_whose_elements_break_off_leaves_nothing(store: TelemetryStore) -> None:
    def breaking() -> Iterator[tuple[str, dict[str, Any]]]:
        yield "resourceLogs", {"a": 1}
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.add_imported(origin(), breaking())

    assert list(store.imported()) == []
    store.add_log(line("goes on"))


def test_the_file_is_private(tmp_path: Path) -> None:
    with TelemetryStore(tmp_path / "t.db") as store:
        store.add_log(line("x"))

        modes = {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}

    assert modes == {0o600}


def test_two_processes_may_have_it_open(tmp_path: Path) -> None:
    with TelemetryStore(tmp_path / "t.db") as one, TelemetryStore(tmp_path / "t.db") as other:
        one.add_log(line("one"))
        other.add_log(line("other"))

        assert {each.body for each in one.logs(*EVER)} == {"one", "other"}


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    TelemetryStore(tmp_path / "t.db").close()
    connection = sqlite3.connect(tmp_path / "t.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(UnsupportedVersion, match="schema 99"):
        TelemetryStore(tmp_path / "t.db")


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"nonsense" * 1000)

    with pytest.raises(StorageError, match=r"t\.db"):
        TelemetryStore(tmp_path / "t.db")
