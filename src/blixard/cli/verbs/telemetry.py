"""`telemetry show`: this node's log and metrics, and what came with imports, never mixed up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from blixard.cli.options import command, duration
from blixard.cli.screen import human
from blixard.errors import ExitCode
from blixard.site.config import TELEMETRY_HOURS

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.telemetry.store import Imported

_LINES = 200


@command(
    examples=["blixard telemetry show --since 24h", "blixard telemetry show --imported --json"],
    exits=[ExitCode.NOT_FOUND],
)
@click.option(
    "--since", type=duration, default=f"{TELEMETRY_HOURS}h", show_default=True, metavar="DURATION", help="How far back"
)
@click.option("--metrics", is_flag=True, help="Also a sample of this machine, taken now, and those that are kept")
@click.option("--imported", is_flag=True, help="What came with imports instead of this node's own")
def show(session: Session, since: timedelta, *, metrics: bool, imported: bool) -> None:
    """Show logs and metrics: this node's, or what came with imports.

    With `--json` in OTLP/JSON: `resourceMetrics` and `resourceLogs`.
    """
    with session.open_cluster() as opened:
        if imported:
            with session.site.telemetry_store(opened.directory) as store:
                _show_imported(session, list(store.imported()))
            return
        until = opened.clock.now()
        begin = max(datetime(1970, 1, 2, tzinfo=UTC), until - min(since, timedelta(days=20_000)))
        with session.site.telemetry_source(opened) as source:
            logs = list(source.resource_logs(begin, until))
            points = list(source.resource_metrics(begin, until)) if metrics or session.out.json else []
    if session.out.json:
        session.out.document({"resourceMetrics": points, "resourceLogs": logs})
        return
    _show_logs(session, logs)
    if points:
        session.out.line(human.table(("metric", "about", "value", "unit"), _metric_rows(points), right=(2,)))


def _show_imported(session: Session, elements: list[Imported]) -> None:
    if session.out.json:
        session.out.document([{"origin": each.origin, each.key: [each.element]} for each in elements])
        return
    if not elements:
        session.out.note("no telemetry came with imports")
    for origin in dict.fromkeys(each.origin for each in elements):
        logs = [each.element for each in elements if each.origin == origin and each.key == "resourceLogs"]
        metrics = sum(each.origin == origin and each.key == "resourceMetrics" for each in elements)
        session.out.line(
            f"from cluster {human.visible(origin.cluster_name)}, exported {human.moment(origin.exported_at)}, "
            f"imported {human.moment(origin.imported_at)}: {human.counts(metrics, 'element')} of metrics"
        )
        _show_logs(session, logs)


def _show_logs(session: Session, elements: list[dict[str, Any]]) -> None:
    rows = [
        (_moment(record.get("timeUnixNano")), str(record.get("severityText", "")), _text(record.get("body")))
        for element in elements
        for scope in element.get("scopeLogs", ())
        for record in scope.get("logRecords", ())
    ]
    if rows:
        session.out.line(human.table(("time", "level", "what"), rows[-_LINES:]))
    if len(rows) > _LINES:
        session.out.note(f"{len(rows) - _LINES} older lines are not shown: `--json` has all")


def _metric_rows(elements: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    newest: dict[tuple[str, str], tuple[str, ...]] = {}
    for element in elements:
        for scope in element["scopeMetrics"]:
            for metric in scope["metrics"]:
                for point in (metric.get("gauge") or metric["sum"])["dataPoints"]:
                    about = " ".join(_text(each["value"]) for each in point["attributes"])
                    value = point.get("asInt") or f"{point.get('asDouble', 0):.2f}"
                    newest[metric["name"], about] = (metric["name"], about, value, metric["unit"])
    return list(newest.values())


def _moment(nanos: object) -> str:
    from blixard.telemetry.points import moment_of

    try:
        return human.moment(moment_of(int(str(nanos))))
    except (ValueError, OverflowError):
        return "-"  # imported telemetry is somebody else's: shown as well as possible


def _text(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    return str(next(iter(value.values()), ""))
