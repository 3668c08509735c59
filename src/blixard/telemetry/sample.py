"""One sample of the host and of this process, named after the OpenTelemetry semantic conventions.

Source: https://opentelemetry.io/docs/specs/semconv/system/ (system and process metrics). A thing that cannot be read in
a container or on a strange file system is left out; a sample never fails.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import psutil

from blixard.telemetry.points import Point, Series, SeriesKind

MAX_DEVICES = 256
"""Devices, mounts and interfaces of each kind in one sample: a host of containers has thousands."""

_UNREADABLE = (OSError, psutil.Error, NotImplementedError, RuntimeError)


class _Sample:
    """Collects points of one moment."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.points: list[Point] = []
        self.boot: datetime | None = None
        with suppress(*_UNREADABLE):
            self.boot = datetime.fromtimestamp(psutil.boot_time(), UTC)

    def gauge(self, name: str, unit: str, value: float, **attributes: str) -> None:
        self.points.append(Point(_series(SeriesKind.GAUGE, name, unit, attributes), self.at, value))

    def updown(self, name: str, unit: str, value: float, **attributes: str) -> None:
        self.points.append(Point(_series(SeriesKind.UPDOWN, name, unit, attributes), self.at, value))

    def counter(self, name: str, unit: str, value: float, start: datetime | None, **attributes: str) -> None:
        # a clock that was set back must not make a start after the sample
        begun = min(start, self.at) if start else None
        self.points.append(Point(_series(SeriesKind.COUNTER, name, unit, attributes), self.at, value, begun))


def _series(kind: SeriesKind, name: str, unit: str, attributes: dict[str, str]) -> Series:
    # keyword arguments cannot hold the dots of the conventions
    return Series(name, unit, kind, tuple((key.replace("__", "."), text) for key, text in sorted(attributes.items())))


def take_sample(at: datetime) -> list[Point]:
    """Every value that can be read now, told as of `at`; the values of one name stand together."""
    sample = _Sample(at)
    for part in (_cpu, _memory, _file_systems, _disks, _network, _process):
        with suppress(*_UNREADABLE):
            part(sample)
    return sorted(sample.points, key=lambda point: point.series.name)


def _cpu(sample: _Sample) -> None:
    times = psutil.cpu_times()
    for mode in ("user", "system", "idle", "iowait", "nice", "irq", "softirq", "steal"):
        if hasattr(times, mode):
            sample.counter("system.cpu.time", "s", getattr(times, mode), sample.boot, cpu__mode=mode)
    sample.updown("system.cpu.logical.count", "{cpu}", psutil.cpu_count() or 1)
    physical = psutil.cpu_count(logical=False)
    if physical:
        sample.updown("system.cpu.physical.count", "{cpu}", physical)
    # not in the conventions; these are the names of the collector's host metrics receiver
    for minutes, load in zip((1, 5, 15), psutil.getloadavg(), strict=True):
        sample.gauge(f"system.cpu.load_average.{minutes}m", "{thread}", load)
    if sample.boot is not None:
        sample.gauge("system.uptime", "s", max(0.0, (sample.at - sample.boot).total_seconds()))


def _memory(sample: _Sample) -> None:
    memory = psutil.virtual_memory()
    for state in ("used", "free", "buffers", "cached"):
        if hasattr(memory, state):
            sample.updown("system.memory.usage", "By", getattr(memory, state), system__memory__state=state)
    sample.updown("system.memory.limit", "By", memory.total)
    sample.updown("system.linux.memory.available", "By", memory.available)
    swap = psutil.swap_memory()
    sample.updown("system.paging.usage", "By", swap.used, system__paging__state="used")
    sample.updown("system.paging.usage", "By", swap.free, system__paging__state="free")


def _file_systems(sample: _Sample) -> None:
    for mount in psutil.disk_partitions(all=False)[:MAX_DEVICES]:
        with suppress(*_UNREADABLE):
            usage = psutil.disk_usage(mount.mountpoint)
            where = {
                "system__device": mount.device,
                "system__filesystem__mountpoint": mount.mountpoint,
                "system__filesystem__type": mount.fstype,
            }
            reserved = max(0, usage.total - usage.used - usage.free)
            for state, value in (("used", usage.used), ("free", usage.free), ("reserved", reserved)):
                sample.updown("system.filesystem.usage", "By", value, system__filesystem__state=state, **where)
            sample.updown("system.filesystem.limit", "By", usage.total, **where)


def _disks(sample: _Sample) -> None:
    counters = psutil.disk_io_counters(perdisk=True) or {}
    for device, io in sorted(counters.items())[:MAX_DEVICES]:
        for direction, amount, operations in (
            ("read", io.read_bytes, io.read_count),
            ("write", io.write_bytes, io.write_count),
        ):
            where = {"disk__io__direction": direction, "system__device": device}
            sample.counter("system.disk.io", "By", amount, sample.boot, **where)
            sample.counter("system.disk.operations", "{operation}", operations, sample.boot, **where)


def _network(sample: _Sample) -> None:
    for interface, io in sorted(psutil.net_io_counters(pernic=True).items())[:MAX_DEVICES]:
        for direction, amount, packets, errors, dropped in (
            ("receive", io.bytes_recv, io.packets_recv, io.errin, io.dropin),
            ("transmit", io.bytes_sent, io.packets_sent, io.errout, io.dropout),
        ):
            where = {"network__interface__name": interface, "network__io__direction": direction}
            sample.counter("system.network.io", "By", amount, sample.boot, **where)
            sample.counter("system.network.packet.count", "{packet}", packets, sample.boot, **where)
            sample.counter("system.network.errors", "{error}", errors, sample.boot, **where)
            sample.counter("system.network.packet.dropped", "{packet}", dropped, sample.boot, **where)


def _process(sample: _Sample) -> None:
    process = psutil.Process()
    with process.oneshot():
        started = datetime.fromtimestamp(process.create_time(), UTC)
        times, memory = process.cpu_times(), process.memory_info()
        for mode, seconds in (("user", times.user), ("system", times.system)):
            sample.counter("process.cpu.time", "s", seconds, started, cpu__mode=mode)
        sample.updown("process.memory.usage", "By", memory.rss)
        sample.updown("process.memory.virtual", "By", memory.vms)
        sample.updown("process.thread.count", "{thread}", process.num_threads())
        sample.gauge("process.uptime", "s", max(0.0, (sample.at - started).total_seconds()))
        sample.updown("process.unix.file_descriptor.count", "{file_descriptor}", process.num_fds())
