"""What a document says of itself: state, images, digests; along its index where there is one, else in one pass.

The one place that decides between the two, so that `inspect` and `diff` are quick for the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import structs

from blixard.format.events import Event, TelemetryRead
from blixard.format.index import open_fast
from blixard.format.reader import read_export
from blixard.format.survey import Survey, Surveyor
from blixard.limits import MIB, Limits
from blixard.model.structs import JsonObject
from blixard.ports import Input

_QUICK_TELEMETRY = 8 * MIB
"""More than this is not read for the sake of a number."""

Look = Callable[[str, int, JsonObject], None]
"""Is shown each telemetry element: its key, its number there, itself."""


def glance_at(given: Input, limits: Limits, *, full: bool = False, look: Look | None = None) -> Survey:
    """Look at a document.

    Args:
        given: the file.
        limits: the bounds in force.
        full: read all of it, index or not.
        look: shown telemetry.

    Raises:
        MalformedExport, UnsupportedVersion, LimitExceeded, StorageError: it cannot be read.
    """
    view = None if full else open_fast(given, limits=limits)
    if view is None:
        return _taken(read_export(given.stream, limits=limits), look).found()
    seen = view.survey
    if not seen.telemetry_stored_bytes or (seen.telemetry_stored_bytes > _QUICK_TELEMETRY and look is None):
        return seen
    return structs.replace(seen, telemetry=dict(_taken(view.telemetry(), look).telemetry))


def _taken(events: Iterable[Event], look: Look | None) -> Surveyor:
    surveyor = Surveyor()
    for event in events:
        if look is not None and isinstance(event, TelemetryRead):
            look(event.key, surveyor.telemetry[event.key], event.element)
        surveyor.take(event)
    return surveyor
