"""What a document says of itself: state, images, digests; along its index where there is one, else in one pass.

The one place that decides between the two, so that `inspect` and `diff` are quick for the same files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from msgspec import UNSET, Struct

from blixard.format.events import DocumentEnd, ImageRead, IntegrityReport, RecordRead, StateRead, TelemetryRead
from blixard.format.index import FastView, open_fast
from blixard.format.reader import read_export
from blixard.limits import MIB, Limits
from blixard.model.incoming import IncomingState
from blixard.model.structs import ImageHead, ImageTail, JsonObject
from blixard.ports import Input

_QUICK_TELEMETRY = 8 * MIB
"""More than this is not read for the sake of a number."""

Look = Callable[[str, int, JsonObject], None]
"""Is shown each telemetry element: its key, its number there, itself."""


class SeenImage(Struct, frozen=True, kw_only=True):
    """An image without its records: `stored_bytes` where it was seen along the index, the others where streamed."""

    head: ImageHead
    tail: ImageTail
    records: int
    stored_bytes: int | None = None
    carried_bytes: int | None = None
    """Guest bytes that stand in this image itself, packs included; the rest refers to others."""
    frame_bytes: int | None = None


class Seen(Struct, frozen=True, kw_only=True):
    """A document without its disks. `quick`: records were not read, digests of images are as stated."""

    quick: bool
    state: IncomingState
    late: JsonObject
    images: tuple[SeenImage, ...]
    telemetry: dict[str, int] | None
    """Number of elements by key; None where there is too much of it to count."""
    telemetry_stored_bytes: int | None
    report: IntegrityReport

    @property
    def document(self) -> str:
        """Digest of the document: of what is there, where all was read, else as far as it can be told."""
        return self.report.claimed or self.report.document


def glance_at(given: Input, limits: Limits, *, full: bool = False, look: Look | None = None) -> Seen:
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
    if view is not None:
        with view:
            return _quick(view, look)
    return _streamed(given, limits, look)


def _quick(view: FastView, look: Look | None) -> Seen:
    index = view.index
    images = tuple(
        SeenImage(head=read.head, tail=read.tail, records=row.records, stored_bytes=row.stored_bytes)
        for read, row in zip(view.images, index.images, strict=True)
    )
    telemetry: dict[str, int] | None = {}
    stored = 0
    if index.telemetry is not UNSET:
        stored = index.images_at - index.telemetry
        telemetry = None if stored > _QUICK_TELEMETRY and look is None else _telemetry(view, look)
    return Seen(
        quick=True,
        state=view.state,
        late=view.late,
        images=images,
        telemetry=telemetry,
        telemetry_stored_bytes=stored,
        report=view.report,
    )


def _telemetry(view: FastView, look: Look | None) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for event in view.telemetry():
        if look is not None:
            look(event.key, counts[event.key], event.element)
        counts[event.key] += 1
    return dict(counts)


def _streamed(given: Input, limits: Limits, look: Look | None) -> Seen:
    state: IncomingState | None = None
    end: DocumentEnd | None = None
    images: list[SeenImage] = []
    telemetry: Counter[str] = Counter()
    sums = _Sums()
    for event in read_export(given.stream, limits=limits):
        if isinstance(event, RecordRead):
            sums.add(event)
        elif isinstance(event, ImageRead):
            images.append(sums.image(event))
            sums = _Sums()
        elif isinstance(event, TelemetryRead):
            if look is not None:
                look(event.key, telemetry[event.key], event.element)
            telemetry[event.key] += 1
        elif isinstance(event, StateRead):
            state = event.state
        elif isinstance(event, DocumentEnd):
            end = event
    assert state is not None and end is not None  # noqa: S101, PT018 - the reader gives both or raises
    return Seen(
        quick=False,
        state=state,
        late=end.late,
        images=tuple(images),
        telemetry=dict(telemetry),
        telemetry_stored_bytes=None,
        report=end.report,
    )


class _Sums:
    """The records of one image, added up."""

    def __init__(self) -> None:
        self._records = 0
        self._carried = 0
        self._frames = 0

    def add(self, event: RecordRead) -> None:
        self._records += 1
        if event.text is not None:
            self._carried += event.record.length
            self._frames += len(event.text) * 3 // 4

    def image(self, event: ImageRead) -> SeenImage:
        return SeenImage(
            head=event.head,
            tail=event.tail,
            records=self._records,
            carried_bytes=self._carried,
            frame_bytes=self._frames,
        )
