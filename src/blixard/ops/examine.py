"""One pass over a document in which every record is decoded and hashed, and nothing is written.

What `verify`, `export --verify` and `fmt` rest on. It tells and does not judge: a broken end or a damaged record is
part of what was found, because the use of a damaged backup is what is still good in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from io import BufferedReader
from typing import BinaryIO, cast

from msgspec import Struct

from blixard.disks.verify import Damage, Verifier
from blixard.errors import MalformedExport
from blixard.format.envelope import MAGIC
from blixard.format.events import (
    End,
    Event,
    ImageBegun,
    ImageRead,
    IntegrityReport,
    RecordRead,
    StateRead,
    TelemetryRead,
)
from blixard.format.records import frame
from blixard.format.skeleton import read_index
from blixard.limits import Limits
from blixard.model.incoming import IncomingState
from blixard.model.structs import ImageHead, ImageTail, JsonObject
from blixard.ops.up_to_damage import read_up_to_damage
from blixard.place import Input
from blixard.ports import Progress

_LISTED = 10_000


class FoundImage(Struct, frozen=True):
    """An image that was read to its end. `whole`: its digest is the one that it states."""

    image: int
    head: ImageHead
    tail: ImageTail
    whole: bool


class Examined(Struct, frozen=True, kw_only=True):
    """What is in a document. `problem` is what ended the pass early; `seal` is there only without one."""

    state: IncomingState
    images: dict[int, FoundImage]
    telemetry: dict[str, int]
    late: JsonObject
    seal: IntegrityReport | None
    problem: MalformedExport | None
    records: int
    data_bytes: int
    damage: tuple[Damage, ...]
    """In document order, capped; `damaged_images` is complete."""
    damaged_images: frozenset[int]
    order: tuple[str, ...]
    """The streamed sections in the order in which they stand."""


def examine(
    stream: BinaryIO,
    *,
    threads: int,
    limits: Limits,
    progress: Progress,
    salvage: Callable[[Examination], None] | None = None,
) -> Examined:
    """Read a document, decoding every record.

    Args:
        stream: at the document's first byte.
        threads: workers, at least 1.
        limits: the bounds in force.
        progress: told about each image.
        salvage: asked to give what lies behind a broken place, when it can.

    Raises:
        MalformedExport: it ends or breaks before its VMs were read, so there is nothing to tell.
        UnsupportedVersion, LimitExceeded: as the reader says.
    """
    with Verifier(threads=threads, limits=limits) as verifier:
        examination = Examination(verifier, progress)
        try:
            for event in read_up_to_damage(stream, limits):
                examination.take(event)
        except MalformedExport as problem:
            examination.broken(problem)
            if salvage is not None:
                salvage(examination)
        return examination.found()


def expect_data(given: Input, limits: Limits, progress: Progress) -> None:
    """Tell how much there is to decode, where the file's index says so; leaves the stream at its start."""
    if not given.seekable:
        return
    index = read_index(given.stream, limits=limits)
    given.stream.seek(0)
    if index is not None:
        progress.expect(sum(row.data_bytes for row in index.images))


def starts_as_gzip(stream: BinaryIO) -> bool:
    """What the first bytes say, which stay unread; also when the rest of the file makes no sense."""
    return cast("BufferedReader", stream).peek(2)[:2] == MAGIC


class Examination:
    """A pass under way: takes events, gives `Examined`."""

    def __init__(self, verifier: Verifier, progress: Progress) -> None:
        self.state: IncomingState | None = None
        self.images: dict[int, FoundImage] = {}
        self._verifier = verifier
        self._progress = progress
        self._problem: MalformedExport | None = None
        self._end: End | None = None
        self._telemetry: Counter[str] = Counter()
        self._order: list[str] = []
        self._begun: int | None = None
        self._taken: Counter[int] = Counter()
        self._damage: list[Damage] = []
        self._damaged_images: set[int] = set()

    def take(self, event: Event) -> None:
        """The next event of the document."""
        if isinstance(event, RecordRead):
            self._record(event)
        elif isinstance(event, ImageBegun):
            self._note("images")
            self._begun = event.image
            head = event.head
            label = f"image {event.image}" if head is None else f"{head.vm}/{head.disk}"
            self._progress.begin(label, None if head is None else head.size_bytes)
        elif isinstance(event, ImageRead):
            self.ended(event, whole=event.digest == event.tail.digest)
        elif isinstance(event, StateRead):
            self.state = event.state
        elif isinstance(event, TelemetryRead):
            self._note("telemetry")
            self._telemetry[event.key] += 1
        else:
            self._end = event

    def taken(self, image: int) -> int:
        """How many records of an image were taken."""
        return self._taken[image]

    def take_damaged(self, event: RecordRead) -> None:
        """A record behind a damaged place: one that refers to what was lost there is damaged too."""
        try:
            self._record(event)
        except MalformedExport:
            lost = event.record.digest.hex()[:16]
            self.damaged(event.image, event.position, event.record.offset, f"it refers to `{lost}`, which is damaged")

    def damaged(self, image: int, position: int, offset: int | None, problem: str) -> None:
        """A record is lost; `offset` is the guest's, None where it is not known."""
        self._damaged_images.add(image)
        if len(self._damage) < _LISTED:
            self._damage.append(Damage(image, position, offset, problem))

    def ended(self, event: ImageRead, *, whole: bool) -> None:
        """An image is complete."""
        self.images[event.image] = FoundImage(event.image, event.head, event.tail, whole)
        self._begun = None
        self._progress.end()

    def broken(self, problem: MalformedExport) -> None:
        """The document cannot be read further."""
        self._problem = problem
        if self._begun is not None:
            self._progress.end()
            self._begun = None
        if self.state is None:
            raise problem

    def found(self) -> Examined:
        """What was found, once the last record was looked at."""
        checked = self._verifier.finish()
        assert self.state is not None  # noqa: S101 - without it, `broken` or the reader raised
        return Examined(
            state=self.state,
            images=self.images,
            telemetry=dict(self._telemetry),
            late={} if self._end is None else self._end.late,
            seal=None if self._end is None else self._end.report,
            problem=self._problem,
            records=checked.records,
            data_bytes=checked.data_bytes,
            damage=tuple(sorted([*checked.damaged, *self._damage], key=lambda each: (each.image, each.position))),
            damaged_images=checked.damaged_images | self._damaged_images,
            order=tuple(self._order),
        )

    def _record(self, event: RecordRead) -> None:
        record, text = event.record, event.text
        self._taken[event.image] = event.position + 1
        load = None if text is None else partial(frame, text)
        self._verifier.put(event.image, event.position, record, load, text_bytes=len(text or ""))
        if record.offset is not None:
            self._progress.advance(record.length)

    def _note(self, section: str) -> None:
        if section not in self._order:
            self._order.append(section)
