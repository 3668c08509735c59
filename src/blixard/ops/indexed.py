"""A window on a document along its index: the records of an image without those before it.

The index is a hint. What it leads to has to match the image's digest, or the file is streamed as if it had no index;
and damage to one image does not hide the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import BinaryIO

from blixard.errors import ExportFileError
from blixard.format.events import RecordRead
from blixard.format.index import FastView, open_fast
from blixard.format.records import frame
from blixard.limits import Limits
from blixard.model.structs import Record
from blixard.ops.window import ImageContent, Load, StreamWindow, note_reference


def indexed_window(stream: BinaryIO, limits: Limits) -> IndexedWindow | None:
    """The window; None when the index is missing or does not prove right."""
    view = open_fast(stream, limits=limits)
    return None if view is None else IndexedWindow(stream, view, limits)


class IndexedWindow:
    """See `window.Window`."""

    def __init__(self, stream: BinaryIO, view: FastView, limits: Limits) -> None:
        self.state = view.state
        self._stream = stream
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
            self._instead = StreamWindow(self._stream, self._limits)
            return self._instead.content(image)
        known = self._view.images[image]
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
