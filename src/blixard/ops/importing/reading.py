"""A document in the pieces in which an import takes it: the state, the images, the end with its digests.

Our own exports have the state first, so that an import is planned before an image comes. Other tools may write the
images first: then they are staged before anybody knows what for. These are the only two orders that the reader gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from blixard.errors import InternalError
from blixard.format.events import DocumentEnd, Event, StateRead, TelemetryRead
from blixard.ops.importing.phases import Ended, ImageEvent, ImagesFirst, Job, Rest, StateFirst
from blixard.ops.importing.telemetry import TelemetrySpool


def read_front(job: Job) -> StateFirst | ImagesFirst | Ended:
    """Read up to the first image, or to the end of a document without images. Telemetry is kept, wherever it stands.

    Raises:
        ExportFileError, StorageError, TransferError: as the reader and the spool do.
    """
    rest = _without_telemetry(job.source.events(), job.telemetry)
    match first := next(rest):
        case StateRead(state):
            second = next(rest)
            if isinstance(second, DocumentEnd):
                return Ended(state, second.report, second.late)
            return StateFirst(state, chain((second,), rest))
        case _:
            return ImagesFirst(chain((first,), rest))


def read_images(front: StateFirst | ImagesFirst, take: Callable[[ImageEvent], None]) -> Ended:
    """Read the images and all that is behind them, to the end.

    Raises:
        ExportFileError, StorageError, TransferError: as the reader and `take` do.
    """
    state = front.state if isinstance(front, StateFirst) else None
    for event in front.rest:
        match event:
            case StateRead():
                state = event.state
            case DocumentEnd(report, late) if state is not None:
                return Ended(state, report, late)
            case DocumentEnd():
                break
            case _:
                take(event)
    raise InternalError("the reader gives the state, and then the end")


def _without_telemetry(events: Iterator[Event], telemetry: TelemetrySpool) -> Rest:
    for event in events:
        if isinstance(event, TelemetryRead):
            telemetry.add(event)
        else:
            yield event
    raise InternalError("the reader ended without an end")
