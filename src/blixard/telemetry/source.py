"""`ports.TelemetrySource` of this node: a sample taken now, the samples that are kept, and the log.

An agent that samples all the time would be another adapter of the same port; nobody who exports would notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from heapq import merge

import msgspec

from blixard.limits import DEFAULT, Limits
from blixard.model.structs import JsonObject
from blixard.ports import Clock
from blixard.telemetry.otlp import log_elements, metric_elements, resource
from blixard.telemetry.points import Attributes, Point
from blixard.telemetry.store import TelemetryStore

_JUST_NOW = timedelta(minutes=5)


class NodeTelemetry:
    """What this node can tell about itself.

    Args:
        store: samples and log of this node.
        clock: decides whether now lies in the window that is asked for.
        about: resource attributes (`host.name`, `service.version`, ...).
        limits: `telemetry_element_bytes` bounds each element.
    """

    def __init__(self, store: TelemetryStore, clock: Clock, about: Attributes, limits: Limits = DEFAULT) -> None:
        self._store = store
        self._clock = clock
        self._resource = resource(about)
        self._limit = limits.telemetry_element_bytes

    def resource_metrics(self, since: datetime, until: datetime) -> Iterator[JsonObject]:
        """Elements of `resourceMetrics`; now is sampled when the window reaches until now, as of the window's end."""
        points = merge(self._store.samples(since, until), sorted(self._now(since, until), key=_order), key=_order)
        return metric_elements(self._resource, points, limit_bytes=self._limit)

    def resource_logs(self, since: datetime, until: datetime) -> Iterator[JsonObject]:
        """Elements of `resourceLogs`."""
        return log_elements(self._resource, self._store.logs(since, until), limit_bytes=self._limit)

    def _now(self, since: datetime, until: datetime) -> list[Point]:
        # who asks for "until now" says so a moment before we look
        now = self._clock.now()
        if now < since or now - until > _JUST_NOW:
            return []
        from blixard.telemetry.sample import take_sample  # psutil costs 25 ms, and a log needs none of it

        return take_sample(min(now, until))


def _order(point: Point) -> tuple[str, str, str, bytes, datetime]:
    """The order of `TelemetryStore.samples`."""
    series = point.series
    return series.name, series.unit, series.kind, msgspec.json.encode(series.attributes), point.at


def about_this_host(cluster_id: str, cluster_name: str, node_id: int) -> Attributes:
    """Resource attributes of this machine, after the semantic conventions; nothing secret."""
    import os

    from blixard.version import __version__

    host = os.uname()
    return {
        "service.name": "blixard",
        "service.version": __version__,
        "service.instance.id": f"{cluster_id}/{node_id}",
        "host.name": host.nodename,
        "host.arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(host.machine, host.machine),
        "os.type": host.sysname.lower(),
        "os.version": host.release,
        "blixard.cluster.id": cluster_id,
        "blixard.cluster.name": cluster_name,
        "blixard.node.id": node_id,
    }
