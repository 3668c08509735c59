"""Where an import's document comes from: a file, a pipe or a peer. One import path, and this is its only seam.

A source gives the reader's events in the document's order, what is known beforehand, and for each record that carries
bytes a way to get its frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

from blixard.disks.records.walk import Load
from blixard.format.events import Event, RecordRead
from blixard.format.reader import read_export
from blixard.format.records import frame
from blixard.limits import Limits
from blixard.ops.importing.foreknown import Foreknown, foreknown_of
from blixard.place import open_input, reread
from blixard.ports import Input


class ImportSource(Protocol):
    """One document that is being imported."""

    @property
    def foreknown(self) -> Foreknown:
        """What is known before it is read."""

    def events(self) -> Iterator[Event]:
        """The document, front to back, once.

        Raises:
            ExportFileError: it is not acceptable.
            StorageError, TransferError: it cannot be read.
        """

    def again(self) -> Iterator[Event] | None:
        """The document once more, beside `events`; None when it can be read only once."""

    @property
    def at_hand(self) -> bool:
        """True when all records come whether they are needed or not, as from a file: then all are checked."""

    def load(self, event: RecordRead, *, held: bool) -> Load | None:
        """How a worker gets the frame of a record; None for a reference.

        Args:
            event: of this document, in its order.
            held: an earlier import staged it, so the frame will hardly be asked for.
        """

    def stop(self) -> None:
        """The import ends early: a worker that waits for a frame must hear of it, for none may ever come."""

    def warnings(self) -> tuple[str, ...]:
        """What the operator should know of the source so far, though the import went on."""


Opened = Callable[[], AbstractContextManager[ImportSource]]
"""Opens a source for one import."""


@contextmanager
def file_source(name: str, limits: Limits, *, skip_damaged: bool = False) -> Iterator[ImportSource]:
    """The document in a file, or on standard input (`-`); with `skip_damaged` what can be read of its images.

    Raises:
        StorageError: it cannot be opened.
        UsageError: it is a directory or a terminal.
    """
    with open_input(name) as source:
        yield _FileSource(source, limits, skip_damaged=skip_damaged)


class _FileSource:
    at_hand = True

    def __init__(self, source: Input, limits: Limits, *, skip_damaged: bool) -> None:
        self._skip_damaged = skip_damaged
        self._source = source
        self._limits = limits
        self.foreknown = foreknown_of(source, limits)

    def events(self) -> Iterator[Event]:
        return read_export(self._source.stream, limits=self._limits, skip_damaged=self._skip_damaged)

    def again(self) -> Iterator[Event] | None:
        if not self._source.seekable:
            return None
        return read_export(reread(self._source), limits=self._limits, skip_damaged=self._skip_damaged)

    def load(self, event: RecordRead, *, held: bool) -> Load | None:  # noqa: ARG002 - the text is here already
        return None if event.text is None else partial(frame, event.text)

    def stop(self) -> None:
        pass  # what workers wait for is in their hands already

    def warnings(self) -> tuple[str, ...]:
        return ()
