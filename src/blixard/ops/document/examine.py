"""One pass over a document in which every record is decoded and hashed, and nothing is written.

What `verify`, `export --verify` and `fmt` rest on. It tells and does not judge: a broken end or a damaged record is
part of what was found, because the use of a damaged backup is what is still good in it.
"""

from __future__ import annotations

from functools import partial
from io import BufferedReader
from typing import BinaryIO

from msgspec import structs

from blixard import files
from blixard.disks.records.verify import Damage, Verifier
from blixard.errors import DigestMismatch, ExportFileError, MalformedExport
from blixard.format.envelope import MAGIC
from blixard.format.events import Event, ImageBegun, ImageLost, ImageRead, RecordRead
from blixard.format.reader import read_export
from blixard.format.records import frame
from blixard.format.skeleton import read_index
from blixard.format.survey import Survey, Surveyor
from blixard.limits import Limits
from blixard.ports import Input, Progress

_LISTED = 10_000


class Examined(Survey, frozen=True, kw_only=True):
    """A survey, and what decoding brought to light. `problem` ended the pass early; without one there is a seal.

    `lost`: images of which something could not be read; they are not among `images`.
    """

    lost: frozenset[int]
    problem: ExportFileError | None
    records: int
    data_bytes: int
    damage: tuple[Damage, ...]
    """In document order, capped; `damaged_images` is complete."""
    damaged_images: frozenset[int]


def examine(
    stream: BinaryIO,
    *,
    threads: int,
    limits: Limits,
    progress: Progress,
    skip_damaged: bool = False,
) -> Examined:
    """Read a document, decoding every record.

    Args:
        stream: at the document's first byte.
        threads: workers, at least 1.
        limits: the bounds in force.
        progress: told about each image.
        skip_damaged: go on behind damage inside `images`, as an import does that is told to.

    Raises:
        MalformedExport: it ends or breaks before its VMs were read, so there is nothing to tell.
        UnsupportedVersion, LimitExceeded: as the reader says.
    """
    folder = files.roomy_folder()
    with Verifier(threads=threads, limits=limits, folder=folder, skip_damaged=skip_damaged) as verifier:
        examination = Examination(verifier, progress)
        try:
            for event in read_export(stream, limits=limits, skip_damaged=skip_damaged):
                examination.take(event)
        except (MalformedExport, DigestMismatch) as problem:
            examination.broken(problem)
        return examination.found()


def expect_data(given: Input, limits: Limits, progress: Progress) -> None:
    """Tell how much there is to decode, where the file's index says so."""
    index = read_index(given, limits=limits)
    if index is not None:
        progress.expect(sum(row.data_bytes for row in index.images))


def starts_as_gzip(stream: BufferedReader) -> bool:
    """True when the first bytes are gzip's, however broken the rest is; they stay unread."""
    return stream.peek(2)[:2] == MAGIC


class Examination:
    """One pass over a document: it is given the events in order, and makes an `Examined` of them at the end."""

    def __init__(self, verifier: Verifier, progress: Progress) -> None:
        self._surveyor = Surveyor()
        self._verifier = verifier
        self._progress = progress
        self._problem: ExportFileError | None = None
        self._lost: set[int] = set()
        self._begun: int | None = None
        self._damage: list[Damage] = []

    def take(self, event: Event) -> None:
        """Look at the next event of the document."""
        self._surveyor.take(event)
        if isinstance(event, RecordRead):
            self._record(event)
        elif isinstance(event, ImageBegun):
            self._begun = event.image
            head = event.head
            label = f"image {event.image}" if head is None else f"{head.vm}/{head.disk}"
            self._progress.begin(label, None if head is None else head.size_bytes)
        elif isinstance(event, ImageRead):
            self._ended()
        elif isinstance(event, ImageLost):
            self._lose(event)

    def broken(self, problem: ExportFileError) -> None:
        """End the pass: the document cannot be read further."""
        self._problem = problem
        self._ended()
        if self._surveyor.state is None:
            raise problem

    def found(self) -> Examined:
        """What was found, once the last record was looked at."""
        checked = self._verifier.finish()
        return Examined(
            **structs.asdict(self._surveyor.found()),
            lost=frozenset(self._lost),
            problem=self._problem,
            records=checked.records,
            data_bytes=checked.data_bytes,
            damage=tuple(sorted([*checked.damaged, *self._damage], key=lambda each: (each.image, each.position))),
            damaged_images=checked.damaged_images | self._lost,
        )

    def _record(self, event: RecordRead) -> None:
        record, text = event.record, event.text
        load = None if text is None else partial(frame, text)
        self._verifier.put(event.image, event.position, record, load, text_bytes=len(text or ""))
        if record.offset is not None:
            self._progress.advance(record.length)

    def _lose(self, event: ImageLost) -> None:
        self._lost.add(event.image)
        if len(self._damage) < _LISTED:
            self._damage.append(Damage(event.image, event.position, None, event.problem))
        self._ended()

    def _ended(self) -> None:
        if self._begun is not None:
            self._progress.end()
            self._begun = None
