"""What is measured and what is logged, as values; no OTLP, no SQL and no psutil in here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

from msgspec import Struct

Attributes = dict[str, str | int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SeriesKind(StrEnum):
    """How values of a series add up: `gauge` do not, `counter` only grow, `updown` do and shrink."""

    GAUGE = "gauge"
    COUNTER = "counter"
    UPDOWN = "updown"


class Series(Struct, frozen=True):
    """What is measured: name, unit (UCUM) and attributes after the OpenTelemetry semantic conventions."""

    name: str
    unit: str
    kind: SeriesKind
    attributes: tuple[tuple[str, str | int], ...] = ()


class Point(Struct, frozen=True):
    """One value at one moment. `start` is since when a counter counts, None when nobody knows."""

    series: Series
    at: datetime
    value: int | float
    start: datetime | None = None


class Severity(IntEnum):
    """SeverityNumber of the OpenTelemetry log data model."""

    INFO = 9
    WARN = 13
    ERROR = 17


class LogLine(Struct, frozen=True):
    """One thing that was done to the cluster. `trace` is 32 hex digits, the run that did it, or empty."""

    at: datetime
    severity: Severity
    body: str
    attributes: Attributes = {}
    trace: str = ""


def nanoseconds(moment: datetime) -> int:
    """Since 1970, exactly (a float of seconds is only good to 100 ns)."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def moment_of(nanos: int) -> datetime:
    """The time of so many nanoseconds since 1970, to the microsecond."""
    return _EPOCH + timedelta(microseconds=nanos // 1000)
