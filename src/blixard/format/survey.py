"""What a document holds, gathered from one pass over its events: state, images without their records, digests.

Whoever needs to know before doing anything (verify, inspect, fmt, a fetch, an import by ticket) takes it from here, so
that one pass is enough for all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from blixard.errors import InternalError
from blixard.format.events import (
    DocumentEnd,
    Event,
    ImageBegun,
    ImageRead,
    IntegrityReport,
    RecordRead,
    StateRead,
    TelemetryRead,
)
from blixard.model.incoming import IncomingState
from blixard.model.structs import ImageHead, ImageTail, JsonObject


class SurveyedImage(Struct, frozen=True, kw_only=True):
    """An image that was read to its end, without its records. None is what was not looked at."""

    image: int
    head: ImageHead
    tail: ImageTail
    whole: bool
    """Its digest is the one that it states."""
    records: int
    stored_bytes: int | None = None
    carried_bytes: int | None = None
    """Guest bytes that stand in this image itself, packs included; the rest refers to others."""
    frame_bytes: int | None = None


class Survey(Struct, frozen=True, kw_only=True):
    """A document without its bulk. `quick`: records were not read, digests of images are as stated."""

    state: IncomingState
    images: dict[int, SurveyedImage]
    """By number; those of which something could not be read are not among them."""
    telemetry: dict[str, int] | None
    """Number of elements by key, in the order in which the keys stand; None where there is too much to count."""
    order: tuple[str, ...]
    """The streamed sections in the order in which they stand."""
    late: JsonObject
    seal: IntegrityReport | None
    """None: the end was not reached."""
    quick: bool = False
    telemetry_stored_bytes: int | None = None

    @property
    def report(self) -> IntegrityReport:
        """How a document whose end was reached compares with what it says about itself."""
        if self.seal is None:
            raise InternalError("the end of the document was not reached")
        return self.seal

    @property
    def document(self) -> str:
        """Digest of the document: of what is there, where all was read, else as far as it can be told."""
        return self.report.claimed or self.report.document


class Surveyor:
    """A survey under way: takes the events of one document, in order."""

    def __init__(self) -> None:
        self.state: IncomingState | None = None
        self.telemetry: Counter[str] = Counter()
        self._images: dict[int, SurveyedImage] = {}
        self._order: dict[str, None] = {}
        self._end: DocumentEnd | None = None
        self._records = self._carried = self._frames = 0

    def take(self, event: Event) -> None:
        """Take the next event of the document."""
        if isinstance(event, RecordRead):
            self._records += 1
            if event.text is not None:
                self._carried += event.record.length
                self._frames += len(event.text) * 3 // 4
        elif isinstance(event, ImageBegun):
            self._order["images"] = None
            self._records = self._carried = self._frames = 0
        elif isinstance(event, ImageRead):
            self._images[event.image] = SurveyedImage(
                image=event.image,
                head=event.head,
                tail=event.tail,
                whole=event.digest == event.tail.digest,
                records=self._records,
                carried_bytes=self._carried,
                frame_bytes=self._frames,
            )
        elif isinstance(event, TelemetryRead):
            self._order["telemetry"] = None
            self.telemetry[event.key] += 1
        elif isinstance(event, StateRead):
            self.state = event.state
        elif isinstance(event, DocumentEnd):
            self._end = event

    def found(self) -> Survey:
        """What was found so far; the state must be among it."""
        if self.state is None:
            raise InternalError("there is nothing to tell of a document whose state was not read")
        return Survey(
            state=self.state,
            images=self._images,
            telemetry=dict(self.telemetry),
            order=tuple(self._order),
            late={} if self._end is None else self._end.late,
            seal=None if self._end is None else self._end.report,
        )


def survey(events: Iterable[Event]) -> Survey:
    """What a whole document holds.

    Raises:
        ExportFileError, StorageError: as the events do.
    """
    surveyor = Surveyor()
    for event in events:
        surveyor.take(event)
    return surveyor.found()
