"""One image of a document, seen without reading more of the file than must be.

With a valid index only the records that are needed are read; any other file is read front to back, once to learn what
the image refers to and once to fetch it.

The index is a hint. What it leads to has to match the image's digest, or the file is read as if it had no index; and
damage to one image does not hide the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from blixard.closing import Closing
from blixard.errors import ExportFileError, MalformedExport
from blixard.format.events import Event, ImageRead, RecordRead, StateRead
from blixard.format.index import FastView, open_fast
from blixard.format.reader import read_export
from blixard.limits import Limits
from blixard.model.structs import ImageHead, ImageTail
from blixard.place import reread
from blixard.ports import Input

References = dict[bytes, list[tuple[int, int, int]]]
"""Digest of a record to where its bytes go: offset on the disk, bytes to skip in the record, length."""


class ImageContent(Struct, frozen=True, kw_only=True):
    """An image without its bytes. `whole`: its digest is the one that it states."""

    image: int
    head: ImageHead
    tail: ImageTail
    whole: bool
    references: References


class Window(Closing):
    """What an extraction asks of a document.

    Args:
        given: can seek.
        limits: the bounds in force.

    Attributes:
        state: everything but telemetry and images.

    Raises:
        MalformedExport, UnsupportedVersion, LimitExceeded: it cannot be read.
    """

    def __init__(self, given: Input, limits: Limits) -> None:
        self._given = given
        self._limits = limits
        self._view = open_fast(given, limits=limits)
        if self._view is not None:
            self.state = self._view.survey.state
        else:
            self.state = next(event.state for event in self._events() if isinstance(event, StateRead))

    def close(self) -> None:
        """Give temporary files back."""
        if self._view is not None:
            self._view.close()

    def content(self, image: int) -> ImageContent:
        """One image, everything but its bytes."""
        if self._view is not None:
            try:
                references = _references(self._view.records(image))
            except ExportFileError:
                # a lie of the index or damage: reading front to back finds out which
                self.close()
                self._view = None
            else:
                seen = self._view.survey.images[image]
                return ImageContent(image=image, head=seen.head, tail=seen.tail, whole=True, references=references)
        return self._streamed(image)

    def records(self, image: int, wanted: Collection[bytes]) -> Iterator[RecordRead]:
        """Records with bytes, in document order: those of `image`, and those of earlier ones that are `wanted`."""
        view = self._view
        found = self._up_to(image) if view is None else _along(view, image, wanted)
        for event in found:
            if not isinstance(event, RecordRead) or event.text is None:
                continue
            if event.image == image or event.record.digest in wanted:
                yield event

    def _streamed(self, image: int) -> ImageContent:
        references: References = {}
        for event in self._up_to(image):
            if isinstance(event, RecordRead) and event.image == image:
                _note(references, event)
            elif isinstance(event, ImageRead) and event.image == image:
                whole = event.digest == event.tail.digest
                return ImageContent(image=image, head=event.head, tail=event.tail, whole=whole, references=references)
        raise MalformedExport(f"the file has no image {image}")

    def _up_to(self, image: int) -> Iterator[Event]:
        """The document up to the end of an image."""
        for event in self._events():
            yield event
            if isinstance(event, ImageRead) and event.image == image:
                return

    def _events(self) -> Iterator[Event]:
        return read_export(reread(self._given), limits=self._limits)


def _along(view: FastView, image: int, wanted: Collection[bytes]) -> Iterator[RecordRead]:
    """Along the index: an image's records, and before them those of earlier images for as long as any are wanted."""
    for earlier in range(image):
        if not wanted:
            break
        yield from _good_records(view, earlier)
    yield from view.records(image)


def _good_records(view: FastView, image: int) -> Iterator[RecordRead]:
    """The records of an image that can be read, in order, whatever happened to the others."""
    position = 0
    try:
        for event in view.records(image):
            position = event.position + 1
            yield event
    except ExportFileError:
        pass
    for each in range(position, view.index.images[image].records):
        try:
            yield view.record(image, each)
        except ExportFileError:
            continue


def _references(records: Iterable[RecordRead]) -> References:
    references: References = {}
    for event in records:
        _note(references, event)
    return references


def _note(references: References, event: RecordRead) -> None:
    """Remember where a record's bytes go, when they stand in another one."""
    record = event.record
    if not record.carries and record.offset is not None:
        references.setdefault(record.digest, []).append((record.offset, record.skip, record.length))
