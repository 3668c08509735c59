"""OTLP/JSON: points and log lines as elements of `resourceMetrics` and `resourceLogs`.

Source: OpenTelemetry protocol 1.x, JSON encoding: 64-bit integers as strings, enums as numbers, ids in hex, keys in
lowerCamelCase. An element is held in memory by whoever reads it, so we split.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from blixard.limits import DEFAULT
from blixard.model.structs import JsonObject
from blixard.telemetry.points import Attributes, LogLine, Point, Series, SeriesKind, nanoseconds

CUMULATIVE = 2
SCOPE: JsonObject = {"name": "blixard"}
INDENTED = 5
"""The limit is one of text and a document may be indented: a real sample grows 3.0-fold by it, tiny points 3.8-fold."""
MAX_BODY = 64 * 1024
"""Characters of a log line: it is one sentence, not a dump."""

_size_of = msgspec.json.Encoder().encode


def resource(attributes: Attributes) -> JsonObject:
    """The `resource` that all elements of one source share."""
    return {"attributes": _attributes(attributes.items())}


def metric_elements(
    resource_object: JsonObject, points: Iterable[Point], *, limit_bytes: int = DEFAULT.telemetry_element_bytes
) -> Iterator[JsonObject]:
    """Elements of `resourceMetrics`; points of one series that follow each other share a metric.

    Args:
        resource_object: what `resource` made.
        points: finite values; others are left out, JSON has no word for them.
        limit_bytes: no element is longer, however it is indented.
    """
    metrics: list[JsonObject] = []
    budget = room = limit_bytes // INDENTED - len(_size_of(resource_object)) - 200
    last: Series | None = None
    for point in points:
        if not math.isfinite(point.value):
            continue
        data = _data_point(point)
        needed = len(_size_of(data)) + 1
        if not _same_metric(last, point.series):
            needed += 300 + len(point.series.name) + len(point.series.unit)
        if metrics and needed > room:
            yield _metrics_element(resource_object, metrics)
            metrics, room, last = [], budget, None
        if not _same_metric(last, point.series):
            metrics.append(_metric(point.series))
        last = point.series
        _data_points(metrics[-1]).append(data)
        room -= needed
    if metrics:
        yield _metrics_element(resource_object, metrics)


def log_elements(
    resource_object: JsonObject, lines: Iterable[LogLine], *, limit_bytes: int = DEFAULT.telemetry_element_bytes
) -> Iterator[JsonObject]:
    """Elements of `resourceLogs`, none longer than `limit_bytes`, however it is indented."""
    records: list[JsonObject] = []
    budget = room = limit_bytes // INDENTED - len(_size_of(resource_object)) - 200
    for line in lines:
        record = _log_record(line)
        needed = len(_size_of(record)) + 1
        if records and needed > room:
            yield _logs_element(resource_object, records)
            records, room = [], budget
        records.append(record)
        room -= needed
    if records:
        yield _logs_element(resource_object, records)


def _metrics_element(resource_object: JsonObject, metrics: list[JsonObject]) -> JsonObject:
    return {"resource": resource_object, "scopeMetrics": [{"scope": SCOPE, "metrics": metrics}]}


def _logs_element(resource_object: JsonObject, records: list[JsonObject]) -> JsonObject:
    return {"resource": resource_object, "scopeLogs": [{"scope": SCOPE, "logRecords": records}]}


def _same_metric(one: Series | None, other: Series) -> bool:
    return one is not None and (one.name, one.unit, one.kind) == (other.name, other.unit, other.kind)


def _metric(series: Series) -> JsonObject:
    if series.kind is SeriesKind.GAUGE:
        return {"name": series.name, "unit": series.unit, "gauge": {"dataPoints": []}}
    total = {
        "dataPoints": [],
        "aggregationTemporality": CUMULATIVE,
        "isMonotonic": series.kind is SeriesKind.COUNTER,
    }
    return {"name": series.name, "unit": series.unit, "sum": total}


def _data_points(metric: JsonObject) -> list[JsonObject]:
    data: list[JsonObject] = (metric.get("gauge") or metric["sum"])["dataPoints"]
    return data


def _data_point(point: Point) -> JsonObject:
    made: JsonObject = {"attributes": _attributes(point.series.attributes)}
    if point.start is not None:
        made["startTimeUnixNano"] = str(nanoseconds(point.start))
    made["timeUnixNano"] = str(nanoseconds(point.at))
    if isinstance(point.value, int):
        made["asInt"] = str(point.value)
    else:
        made["asDouble"] = point.value
    return made


def _log_record(line: LogLine) -> JsonObject:
    at = str(nanoseconds(line.at))
    made: JsonObject = {
        "timeUnixNano": at,
        "observedTimeUnixNano": at,
        "severityNumber": int(line.severity),
        "severityText": line.severity.name,
        "body": {"stringValue": _text(line.body)},
        "attributes": _attributes(line.attributes.items()),
    }
    if line.trace:
        made["traceId"] = line.trace
    return made


def _attributes(items: Iterable[tuple[str, Any]]) -> list[JsonObject]:
    return [{"key": key, "value": _any_value(value)} for key, value in sorted(items)]


def _any_value(value: str | int) -> JsonObject:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": _text(value)}


def _text(value: str) -> str:
    # a mount point may hold bytes that are no UTF-8, and a document may not
    return value[:MAX_BODY].encode("utf-8", "replace").decode()
