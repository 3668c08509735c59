from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from blixard.limits import DEFAULT
from blixard.ports import TelemetrySource
from blixard.telemetry.points import LogLine, Point, Series, SeriesKind, Severity
from blixard.telemetry.source import NodeTelemetry, about_this_host
from blixard.telemetry.store import TelemetryStore

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Noon:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TelemetryStore]:
    with TelemetryStore(tmp_path / "t.db") as opened:
        yield opened


def source_of(store: TelemetryStore) -> TelemetrySource:
    return NodeTelemetry(store, Noon(), about_this_host("c-id", "lab", 1))


def kept(minutes: int) -> Point:
    return Point(Series("system.memory.limit", "By", SeriesKind.UPDOWN), NOW - timedelta(minutes=minutes), 42)


def limits_of_memory(source: TelemetrySource, since: datetime, until: datetime) -> list[str]:
    return [
        data["asInt"]
        for element in source.resource_metrics(since, until)
        for metric in element["scopeMetrics"][0]["metrics"]
        if metric["name"] == "system.memory.limit"
        for data in metric["sum"]["dataPoints"]
    ]


def test_now_is_sampled_and_stands_behind_what_was_kept(store: TelemetryStore) -> None:
    store.add_samples([kept(5), kept(90)])

    values = limits_of_memory(source_of(store), NOW - HOUR, NOW)

    assert values[0] == "42"
    assert len(values) == 2


def test_now_is_sampled_for_who_asked_a_moment_ago(store: TelemetryStore) -> None:
    asked = NOW - timedelta(seconds=2)

    (value,) = limits_of_memory(source_of(store), asked - HOUR, asked)

    assert int(value) > 0


def test_a_window_of_the_past_takes_no_sample(store: TelemetryStore) -> None:
    store.add_samples([kept(90)])

    assert limits_of_memory(source_of(store), NOW - 2 * HOUR, NOW - HOUR) == ["42"]


def test_the_log_of_the_window_is_told_with_the_host(store: TelemetryStore) -> None:
    for minutes in (5, 90):
        store.add_log(LogLine(NOW - timedelta(minutes=minutes), Severity.INFO, f"{minutes} ago"))

    (element,) = source_of(store).resource_logs(NOW - HOUR, NOW)

    bodies = [each["body"]["stringValue"] for each in element["scopeLogs"][0]["logRecords"]]
    attributes = {each["key"]: each["value"] for each in element["resource"]["attributes"]}
    assert bodies == ["5 ago"]
    assert attributes["service.name"] == {"stringValue": "blixard"}
    assert attributes["blixard.cluster.name"] == {"stringValue": "lab"}


def test_the_limit_in_force_splits_elements(store: TelemetryStore) -> None:
    for minute in range(50):
        store.add_log(LogLine(NOW - timedelta(minutes=minute), Severity.INFO, "x" * 200))
    small = structs.replace(DEFAULT, telemetry_element_bytes=20_000)
    source = NodeTelemetry(store, Noon(), about_this_host("c-id", "lab", 1), small)

    assert len(list(source.resource_logs(NOW - HOUR, NOW))) > 1
