import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # two calls are not worth a stub package
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from blixard.telemetry.otlp import log_elements, metric_elements, resource
from blixard.telemetry.points import LogLine, Point, Series, SeriesKind, Severity, moment_of, nanoseconds
from blixard.telemetry.sample import take_sample

NOW = datetime(2026, 11, 24, 6, 0, 0, 123456, tzinfo=UTC)
HERE = resource({"host.name": "n1", "blixard.node.id": 1})


def point(
    value: float, *, kind: SeriesKind = SeriesKind.GAUGE, name: str = "system.memory.usage", **attributes: str
) -> Point:
    return Point(Series(name, "By", kind, tuple(attributes.items())), NOW, value)


def as_generic(value: Any) -> Any:
    """OTLP/JSON to protobuf's generic JSON mapping: hex ids become base64, as opentelemetry's own exporters differ."""
    if isinstance(value, list):
        return [as_generic(each) for each in value]
    if isinstance(value, dict):
        hexed = {"traceId", "spanId"}
        return {
            k: base64.b64encode(bytes.fromhex(v)).decode() if k in hexed else as_generic(v) for k, v in value.items()
        }
    return value


def parsed_metrics(*elements: Any) -> MetricsData:
    data: MetricsData = ParseDict(as_generic({"resourceMetrics": list(elements)}), MetricsData())
    return data


def parsed_logs(*elements: Any) -> LogsData:
    data: LogsData = ParseDict(as_generic({"resourceLogs": list(elements)}), LogsData())
    return data


def test_a_real_sample_is_what_the_official_definitions_say() -> None:
    points = take_sample(NOW)

    parsed = parsed_metrics(*metric_elements(HERE, points))

    metrics = parsed.resource_metrics[0].scope_metrics[0].metrics
    names = [metric.name for metric in metrics]
    assert {"system.cpu.time", "system.memory.usage", "system.filesystem.usage", "process.memory.usage"} <= set(names)
    assert len(names) == len(set(names))
    assert sum(len(m.sum.data_points) + len(m.gauge.data_points) for m in metrics) == len(points)


def test_kinds_become_gauges_and_sums() -> None:
    parsed = parsed_metrics(
        *metric_elements(
            HERE, [point(1.5, name="a"), point(2, kind=SeriesKind.COUNTER, name="b"), point(3, kind=SeriesKind.UPDOWN)]
        )
    )

    gauge, counter, updown = parsed.resource_metrics[0].scope_metrics[0].metrics
    assert gauge.gauge.data_points[0].as_double == 1.5
    assert (counter.sum.is_monotonic, updown.sum.is_monotonic) == (True, False)
    assert counter.sum.aggregation_temporality == 2
    assert counter.sum.data_points[0].as_int == 2


def test_integers_of_64_bits_are_strings() -> None:
    element = next(metric_elements(HERE, [point(2**63 - 1)]))

    data = element["scopeMetrics"][0]["metrics"][0]["gauge"]["dataPoints"][0]
    assert data["asInt"] == "9223372036854775807"
    assert data["timeUnixNano"] == "1795500000123456000"
    assert element["resource"]["attributes"][0] == {"key": "blixard.node.id", "value": {"intValue": "1"}}


def test_points_of_one_series_share_a_metric() -> None:
    element = next(metric_elements(HERE, [point(1, state="used"), point(2, state="free")]))

    assert len(element["scopeMetrics"][0]["metrics"]) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_say_is_left_out(value: float) -> None:
    assert list(metric_elements(HERE, [point(value)])) == []


def test_a_log_line_keeps_severity_body_attributes_and_trace() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    line = LogLine(NOW, Severity.WARN, "cluster import: partial", {"blixard.verb": "cluster import", "exit": 3}, trace)

    record = parsed_logs(*log_elements(HERE, [line])).resource_logs[0].scope_logs[0].log_records[0]

    assert record.time_unix_nano == nanoseconds(NOW)
    assert (record.severity_number, record.severity_text) == (13, "WARN")
    assert record.body.string_value == "cluster import: partial"
    assert record.trace_id.hex() == trace
    assert [each.key for each in record.attributes] == ["blixard.verb", "exit"]


def test_bytes_that_are_no_utf8_do_not_break_the_document() -> None:
    element = next(metric_elements(HERE, [point(1, mount="/mnt/\udcff")]))

    assert json.loads(json.dumps(element).encode()) == element
    msgspec.json.encode(element)


@given(st.integers(min_value=1, max_value=400), st.integers(min_value=4_000, max_value=30_000))
def test_no_element_is_over_its_limit_even_indented(count: int, limit: int) -> None:
    points = [point(number, mount=f"/mnt/{number}" * 3, name=f"m{number // 7}") for number in range(count)]
    lines = [LogLine(NOW, Severity.INFO, f"line {number}") for number in range(count)]

    elements = [
        *metric_elements(HERE, points, limit_bytes=limit),
        *log_elements(HERE, lines, limit_bytes=limit),
    ]

    assert max(len(json.dumps(each, indent=2)) for each in elements) <= limit


def test_splitting_loses_no_point_and_no_line() -> None:
    points = [point(number, mount=str(number)) for number in range(1000)]
    lines = [LogLine(NOW, Severity.INFO, str(number)) for number in range(1000)]

    metrics = parsed_metrics(*metric_elements(HERE, points, limit_bytes=30_000))
    logs = parsed_logs(*log_elements(HERE, lines, limit_bytes=30_000))

    values = [
        data.as_int
        for element in metrics.resource_metrics
        for metric in element.scope_metrics[0].metrics
        for data in metric.gauge.data_points
    ]
    bodies = [line.body.string_value for element in logs.resource_logs for line in element.scope_logs[0].log_records]
    assert len(metrics.resource_metrics) > 1
    assert values == list(range(1000))
    assert bodies == [str(number) for number in range(1000)]


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_times_survive_nanoseconds(moment: datetime) -> None:
    assert moment_of(nanoseconds(moment)) == moment


def test_a_counter_never_starts_after_its_sample() -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)

    assert all(each.start is None or each.start <= long_ago for each in take_sample(long_ago))
    assert all(each.at == NOW + timedelta(0) for each in take_sample(NOW))
