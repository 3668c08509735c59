"""One image of a document, seen without reading more of the file than must be.

With a valid index only the records that are needed are read; any other file is streamed, once to learn what the image
refers to and once to fetch it. What cannot seek is spooled into a file without a name first.

The index is a hint. What it leads to has to match the image's digest, or the file is streamed as if it had no index;
and damage to one image does not hide the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Protocol

from msgspec import Struct

from blixard.errors import ExportFileError, MalformedExport
from blixard.format.events import ImageRead, RecordRead, StateRead
from blixard.format.index import FastView, open_fast
from blixard.format.reader import read_export
from blixard.format.records import frame
from blixard.limits import Limits
from blixard.model.incoming import IncomingState
from blixard.model.structs import ImageHead, ImageTail, Record
from blixard.place import reread, spooled
from blixard.ports import Input

Load = Callable[[], bytes]
"""Gives a record's zstd frame."""


class ImageContent(Struct, frozen=True, kw_only=True):
    """An image without its bytes. `whole`: its digest is the one that it states."""

    image: int
    head: ImageHead
    tail: ImageTail
    whole: bool
    references: dict[bytes, list[tuple[int, int, int]]]
    """Digest of a record to where its bytes go: offset on the disk, bytes to skip in the record, length."""


class Window(Protocol):
    """What an extraction asks of a document."""

    @property
    def state(self) -> IncomingState:
        """Its state."""

    def content(self, image: int) -> ImageContent:
        """One image, everything but its bytes."""

    def records(self, image: int, wanted: Collection[bytes]) -> Iterator[tuple[int, Record, Load]]:
        """Records with bytes, in document order: those of `image`, and those of earlier ones that are `wanted`."""


@contextmanager
def open_window(given: Input, limits: Limits) -> Iterator[Window]:
    """A window on the document in `given`.

    Raises:
        MalformedExport, UnsupportedVersion, LimitExceeded: it cannot be read.
    """
    with spooled(given) as source:
        window = indexed_window(source, limits)
        if window is None:
            yield StreamWindow(source, limits)
            return
        with closing(window):
            yield window


class StreamWindow:
    """A window on any document, read front to back as often as it takes."""

    def __init__(self, given: Input, limits: Limits) -> None:
        self._given = given
        self._limits = limits
        self.state = next(event.state for event in self._events() if isinstance(event, StateRead))

    def content(self, image: int) -> ImageContent:
        """See `Window`."""
        references: dict[bytes, list[tuple[int, int, int]]] = {}
        for event in self._events():
            if isinstance(event, RecordRead) and event.image == image:
                note_reference(references, event.record)
            elif isinstance(event, ImageRead) and event.image == image:
                whole = event.digest == event.tail.digest
                return ImageContent(image=image, head=event.head, tail=event.tail, whole=whole, references=references)
        raise MalformedExport(f"the file has no image {image}")

    def records(self, image: int, wanted: Collection[bytes]) -> Iterator[tuple[int, Record, Load]]:
        """See `Window`."""
        for event in self._events():
            if isinstance(event, RecordRead) and event.text is not None:
                if event.image == image or event.record.digest in wanted:
                    yield event.image, event.record, partial(frame, event.text)
            elif isinstance(event, ImageRead) and event.image == image:
                return

    def _events(self) -> Iterator[object]:
        return read_export(reread(self._given), limits=self._limits)


def indexed_window(given: Input, limits: Limits) -> IndexedWindow | None:
    """The window; None when the index is missing or does not prove right."""
    view = open_fast(given, limits=limits)
    return None if view is None else IndexedWindow(given, view, limits)


class IndexedWindow:
    """See `Window`."""

    def __init__(self, given: Input, view: FastView, limits: Limits) -> None:
        self.state = view.survey.state
        self._given = given
        self._view = view
        self._limits = limits
        self._instead: StreamWindow | None = None

    def close(self) -> None:
        """Give temporary files back."""
        self._view.close()

    def content(self, image: int) -> ImageContent:
        """See `Window`."""
        references: dict[bytes, list[tuple[int, int, int]]] = {}
        try:
            for event in self._view.records(image):
                note_reference(references, event.record)
        except ExportFileError:
            # a lie of the index or damage: reading front to back finds out which
            self._instead = StreamWindow(self._given, self._limits)
            return self._instead.content(image)
        known = self._view.survey.images[image]
        return ImageContent(image=image, head=known.head, tail=known.tail, whole=True, references=references)

    def records(self, image: int, wanted: Collection[bytes]) -> Iterator[tuple[int, Record, Load]]:
        """See `Window`."""
        if self._instead is not None:
            yield from self._instead.records(image, wanted)
            return
        for earlier in range(image):
            if not wanted:
                break
            for event in good_records(self._view, earlier):
                if event.text is not None and event.record.digest in wanted:
                    yield earlier, event.record, partial(frame, event.text)
        for event in self._view.records(image):
            if event.text is not None:
                yield image, event.record, partial(frame, event.text)


def good_records(view: FastView, image: int) -> Iterator[RecordRead]:
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


def note_reference(references: dict[bytes, list[tuple[int, int, int]]], record: Record) -> None:
    """Remember where a record's bytes go, when they stand in another one."""
    if not record.carries and record.offset is not None:
        references.setdefault(record.digest, []).append((record.offset, record.skip, record.length))
