"""Check every record of a document without a disk: what `verify` and `export --verify` run.

It goes on after damage, because the report has to say which VMs are intact.
"""

from __future__ import annotations

import threading
from pathlib import Path

from msgspec import Struct

from blixard.closing import Closing
from blixard.disks.records.locations import PACK, Place
from blixard.disks.records.walk import Given, Load, RecordWalk
from blixard.errors import ExportFileError
from blixard.limits import DEFAULT, Limits
from blixard.model.structs import Record

LISTED = 10_000
"""Damaged records that are listed; a file of noise has millions, and the count says so."""


class Damage(Struct, frozen=True, order=True):
    """One damaged record: its image, its position there, its guest offset in bytes (None: a pack), and why."""

    image: int
    position: int
    offset: int | None
    problem: str


class RecordsReport(Struct, frozen=True, kw_only=True):
    """What a verification found. `damaged` is in document order and capped; `damaged_records` is the true number."""

    records: int
    data_bytes: int
    """Guest bytes that the records cover."""
    damaged: tuple[Damage, ...]
    damaged_records: int
    damaged_images: frozenset[int]


class Verifier(Closing):
    """Takes a document's records in order: `put` for each, then `finish`. A context manager that ends its threads.

    Args:
        threads: workers, at least 1.
        limits: the bounds in force.
        folder: where tables spill to; None is the system's temporary folder.
        skip_damaged: a reference to nothing is a damaged record, because what it names may be lost.
    """

    def __init__(
        self, *, threads: int, limits: Limits = DEFAULT, folder: Path | None = None, skip_damaged: bool = False
    ) -> None:
        self._walk = RecordWalk(self, threads=threads, limits=limits, folder=folder, skip_damaged=skip_damaged)
        self._lock = threading.Lock()
        self._records = 0
        self._data_bytes = 0
        self._listed: list[Damage] = []
        self._damaged_records = 0
        self._damaged_images: set[int] = set()

    def put(self, image: int, position: int, record: Record, load: Load | None, *, text_bytes: int = 0) -> None:
        """Take the next record; `load` gives its frame and is None for a reference.

        Raises:
            MalformedExport: a reference to nothing, or past the end of what it names.
        """
        self._records += 1
        self._data_bytes += 0 if record.offset is None else record.length
        given = Given(image, position, record)
        if load is None:
            self._walk.refer(given)
        else:
            place = Place(PACK if record.offset is None else image, record.offset or 0, record.length)
            self._walk.carry(given, place, load, text_bytes)

    def finish(self) -> RecordsReport:
        """Wait for the last record and say what was found."""
        self._walk.drain()
        return RecordsReport(
            records=self._records,
            data_bytes=self._data_bytes,
            damaged=tuple(sorted(self._listed, key=lambda damage: (damage.image, damage.position))),
            damaged_records=self._damaged_records,
            damaged_images=frozenset(self._damaged_images),
        )

    def close(self) -> None:
        """End the threads."""
        self._walk.close()

    def has(self, _given: Given, /) -> bool:
        """Nothing is stored: everything is decoded (`RecordSink`)."""
        return False

    def keep(self, _given: Given, _place: Place, _data: bytes, /) -> None:
        """The bytes were right and are not needed any more (`RecordSink`)."""

    def copy(self, _given: Given, _place: Place, /) -> None:
        """The walk found what it refers to, whole and right (`RecordSink`)."""

    def damaged(self, given: Given, problem: ExportFileError, /) -> None:
        """Note it and go on (`RecordSink`)."""
        with self._lock:
            self._damaged_records += 1
            self._damaged_images.add(given.image)
            if len(self._listed) < LISTED:
                self._listed.append(Damage(given.image, given.position, given.record.offset, problem.message))

    def done(self, _image: int, /) -> None:
        """Nothing waits for an image here (`RecordSink`)."""
