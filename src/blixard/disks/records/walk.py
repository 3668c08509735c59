"""The walk over a document's records that `import` and `verify` share: decode, hash, resolve, in any number of threads.

A record is hashed before anybody sees its bytes, and a reference waits only for records before it, which workers have
begun already: so nothing can be stored unchecked and nothing can wait in a circle.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol, runtime_checkable

from blake3 import blake3
from msgspec import Struct

from blixard.closing import Closing
from blixard.disks.records.crew import Crew
from blixard.disks.records.frames import open_frame
from blixard.disks.records.locations import Locations, Place
from blixard.errors import DigestMismatch, ExportFileError, MalformedExport
from blixard.limits import KIB, MIB, Limits
from blixard.model.structs import Record, RecordKind

IN_FLIGHT_BYTES = 64 * MIB
RECORD_BYTES = 4 * KIB
"""Counted for a record in flight besides its bytes (task, future, rows): a peer may send millions of one byte."""


class Load(Protocol):
    """A record's zstd frame, when it is called for."""

    def __call__(self) -> bytes | memoryview:
        """The frame; runs in a worker. A ValueError (bad base64) means that the record is damaged."""


@runtime_checkable
class Rejectable(Load, Protocol):
    """A `Load` with several sources (peers): after a wrong frame, the next call gives that of another one."""

    def reject(self, why: str) -> None:
        """Say that the last frame was wrong, so that the next call asks another source; raises when there is none."""


class Given(Struct, frozen=True):
    """A record and where it stands in the document: the image's number and its position there."""

    image: int
    position: int
    record: Record


class RecordSink(Protocol):
    """What is done with records that were checked. All of it runs in workers, for several records at once."""

    def has(self, given: Given, /) -> bool:
        """True when this record's bytes are stored and right already: it is not decoded again."""

    def keep(self, given: Given, place: Place, data: bytes, /) -> None:
        """Store a data or pack record, whose bytes match its digest, at `place`."""

    def copy(self, given: Given, place: Place, /) -> None:
        """Store a reference: `length` bytes from `place`, `skip` bytes in."""

    def damaged(self, given: Given, problem: ExportFileError, /) -> None:
        """A record is not what it says, or refers to one that is not; to raise here ends the walk."""

    def done(self, image: int, /) -> None:
        """One record that was given for `image` is finished, in whatever way."""


class RecordWalk(Closing):
    """Takes records in document order and feeds a sink.

    Args:
        sink: where they go.
        threads: workers, at least 1.
        limits: the bounds in force.
        folder: where the table of places spills to.
        skip_damaged: what a reference names may have been lost, and then the reference is damaged, not malformed.
    """

    def __init__(
        self, sink: RecordSink, *, threads: int, limits: Limits, folder: Path | None, skip_damaged: bool = False
    ) -> None:
        self._sink = sink
        self._skip_damaged = skip_damaged
        self._limits = limits
        self._locations = Locations(spill_bytes=limits.spill_bytes, folder=folder)
        self._crew = Crew(threads, weight=IN_FLIGHT_BYTES, name="record")
        self._lock = threading.Lock()
        self._pending: dict[bytes, threading.Event] = {}

    def carry(self, given: Given, place: Place, load: Load, text_bytes: int) -> None:
        """Take a data or pack record whose bytes shall lie at `place`.

        Raises:
            BlixardError: whatever an earlier record ended the walk with.
        """
        record = given.record
        if self._pending_of(record.digest) is not None:
            self.drain()  # the same data twice at once: rare enough to be simple about
        ready = threading.Event()
        with self._lock:
            self._pending[record.digest] = ready
        self._locations.announce(record.digest, place)

        def task() -> None:
            try:
                self._store(given, place, load)
            finally:
                with self._lock:
                    self._pending.pop(record.digest, None)
                ready.set()
            self._sink.done(given.image)

        # text, the frame inside it, the bytes inside that
        self._crew.submit(task, RECORD_BYTES + record.length + 2 * (text_bytes or record.length))

    def refer(self, given: Given) -> None:
        """Take a reference.

        Raises:
            MalformedExport: it names no earlier record, or bytes that the record does not have.
            BlixardError: whatever an earlier record ended the walk with.
        """
        wrong = self._wrong_reference(given.record)
        if wrong is not None:
            self._refuse(given, f"refers to {wrong}")
            return
        ready = self._pending_of(given.record.digest)

        def task() -> None:
            if ready is not None:
                ready.wait()
            self._resolve(given)
            self._sink.done(given.image)

        self._crew.submit(task, RECORD_BYTES + given.record.length)

    def drain(self) -> None:
        """Wait until every record that was given is finished; raise what one of them ended the walk with."""
        self._crew.drain()

    def close(self) -> None:
        """End the threads, dropping what they have not begun."""
        self._crew.close()
        self._locations.close()

    def _pending_of(self, digest: bytes) -> threading.Event | None:
        with self._lock:
            return self._pending.get(digest)

    def _wrong_reference(self, record: Record) -> str | None:
        """What is wrong with what a reference names; None when it is there."""
        place = self._locations.get(record.digest)
        if place is None:
            return f"`{record.digest.hex()}`, which no earlier record holds"
        if not place.damaged and record.skip + record.length > place.length:
            return f"bytes up to `{record.skip + record.length}` of a record of `{place.length}`"
        return None

    def _refuse(self, given: Given, problem: str) -> None:
        if self._skip_damaged:
            self._sink.damaged(given, DigestMismatch(f"it {problem}"))
            self._sink.done(given.image)
            return
        self.drain()  # what is wrong before it comes first
        raise MalformedExport(f"record `{given.position}` of image `{given.image}` {problem}")

    def _store(self, given: Given, place: Place, load: Load) -> None:
        if given.record.kind is RecordKind.DATA and self._sink.has(given):
            return
        try:
            _, data = accepted(given.record, load, self._limits)
        except ExportFileError as problem:
            self._locations.damage(given.record.digest, place)
            self._sink.damaged(given, problem)
            return
        self._sink.keep(given, place, data)

    def _resolve(self, given: Given) -> None:
        digest = given.record.digest
        place = self._locations.get(digest)
        if place is None or place.damaged:
            self._sink.damaged(given, DigestMismatch(f"it refers to `{digest.hex()}`, which is damaged"))
            return
        self._sink.copy(given, place)


def accepted(record: Record, load: Load, limits: Limits) -> tuple[bytes | memoryview, bytes]:
    """A record's frame and its bytes, which are what its digest says; a wrong frame is rejected where that can be.

    Raises:
        ExportFileError: it is wrong, and nobody else has it.
    """
    while True:
        try:
            return _decoded(record, load, limits)
        except ExportFileError as problem:
            if not isinstance(load, Rejectable):
                raise
            load.reject(problem.message)


def _decoded(record: Record, load: Load, limits: Limits) -> tuple[bytes | memoryview, bytes]:
    try:
        frame = load()
    except ValueError as problem:
        raise MalformedExport(f"the text of a record is not base64: {problem}") from problem
    data = open_frame(frame, record.length, record_bytes=limits.record_bytes)
    if blake3(data).digest() != record.digest:
        raise DigestMismatch(f"its bytes do not match its blake3 `{record.digest.hex()}`")
    return frame, data


def at_record(title: str, given: Given, problem: ExportFileError) -> ExportFileError:
    """The same error, which says where: disk, guest offset and position."""
    offset = given.record.offset
    where = f"at offset `{offset}`" if offset is not None else "(a pack)"
    hint = problem.hint or "`--skip-damaged` brings the VMs that are whole; `blixard cluster verify` names them"
    message = f"record `{given.position}` of {title} {where} is damaged: {problem.message}"
    return type(problem)(message, hint=hint)
