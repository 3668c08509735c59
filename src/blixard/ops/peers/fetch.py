"""`cluster fetch`: an export from its senders into a file, with the same document digest.

The file is written by our writer, front to back, as frames come in; every frame is decoded and hashed before it is
written, and at the end the document is the one that the ticket names or there is no file.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from msgspec import Struct

from blixard.disks.records.pipeline import Encode
from blixard.disks.records.walk import RECORD_BYTES, accepted
from blixard.errors import DigestMismatch, InternalError, PeerMisbehaved, RefusedError
from blixard.files import Journal
from blixard.format.events import DocumentEnd, Event, ImageBegun, ImageRead, RecordRead, StateRead, TelemetryRead
from blixard.limits import DEFAULT, MIB, Limits
from blixard.model.incoming import IncomingState
from blixard.model.structs import Record
from blixard.ops.document.canonical_form import Stored, canonical_form, encoding
from blixard.ops.document.examine import Examined, FoundImage
from blixard.ops.peers.source import FrameFromPeer, PeerSource
from blixard.place import exists, open_output
from blixard.ports import Progress

VERB = "cluster fetch"
_AHEAD_BYTES = 32 * MIB
"""Decoded bytes of records that are asked for before the first of them is written."""
_THREADS = 2
"""That check and encode; the connections have threads of their own."""


class FetchFileOptions(Struct, frozen=True, kw_only=True):
    """One fetch into a file."""

    output: str
    compress: bool = True
    clobber: bool = True
    limits: Limits = DEFAULT


class FetchReport(Struct, frozen=True, kw_only=True):
    """What a fetch wrote."""

    place: str
    document: str
    records: int
    received_bytes: int
    seconds: float
    warnings: tuple[str, ...] = ()


def fetch(
    source: PeerSource, options: FetchFileOptions, *, progress: Progress, journal: Journal | None = None
) -> FetchReport:
    """Write the export that `source` gives.

    Raises:
        TransferError and its kind: no sender is left.
        StorageError: the file cannot be written; the one that was there is intact.
        RefusedError: it exists, and `clobber` is off.
    """
    started = time.monotonic()
    _check_clobber(options)
    found = _known(source)
    form = canonical_form(found, options.limits)
    encode = encoding(compress=options.compress)
    with (
        open_output(options.output, journal=journal) as output,
        _Records(source, encode, options.limits, progress) as records,
    ):
        document = form.write(source.open_document, output.file, compress=options.compress, stored_of=records.stored)
        if document != source.remote.document_digest:
            raise DigestMismatch("what was written is not the document that the ticket names")
        output.commit()
    return FetchReport(
        place=options.output,
        document=document,
        records=records.count,
        received_bytes=source.remote.statistics().received_bytes,
        seconds=time.monotonic() - started,
        warnings=source.warnings(),
    )


class _Records:
    """Records in the order of the document, asked for, checked and encoded some way ahead; a context manager."""

    def __init__(self, source: PeerSource, encode: Encode, limits: Limits, progress: Progress) -> None:
        self._source = source
        self._limits = limits
        self._encode = encode
        self._progress = progress
        self._ahead = self._carrying(source.events())
        self._asked: deque[tuple[Record, Future[Stored]]] = deque()
        self._asked_bytes = 0
        self._workers = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch-record")
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._source.stop()  # else a worker would wait for a record that may never come
        self._workers.shutdown(cancel_futures=True)

    def stored(self, event: RecordRead) -> Stored:
        """The next record, as it is stored."""
        if not event.record.carries:
            return None, self._encode(event.record, None)
        self._ask()
        record, made = self._asked.popleft()
        if record != event.record:
            raise InternalError("frames were asked for in another order")
        self._asked_bytes -= RECORD_BYTES + record.length
        self.count += 1
        stored = made.result()
        self._progress.advance(record.length)
        return stored

    def _ask(self) -> None:
        while self._asked_bytes < _AHEAD_BYTES or not self._asked:
            event = next(self._ahead, None)
            if event is None:
                return
            load = FrameFromPeer(self._source.remote, event.record.digest, event.record.length, asked=True)
            self._asked.append((event.record, self._workers.submit(self._make, event.record, load)))
            self._asked_bytes += RECORD_BYTES + event.record.length

    def _make(self, record: Record, load: FrameFromPeer) -> Stored:
        frame, _ = accepted(record, load, self._limits)
        return frame, self._encode(record, frame)

    @staticmethod
    def _carrying(events: Iterator[Event]) -> Iterator[RecordRead]:
        return (event for event in events if isinstance(event, RecordRead) and event.record.carries)


def _check_clobber(options: FetchFileOptions) -> None:
    if not options.clobber and exists(options.output):
        raise RefusedError(f"`{options.output}` exists", hint="name another file, or leave out `--no-clobber`")


def _known(source: PeerSource) -> Examined:
    """The hollow document as `examine` would see it: its senders' records are checked one by one later."""
    state: IncomingState | None = None
    images: dict[int, FoundImage] = {}
    telemetry: Counter[str] = Counter()
    order: dict[str, None] = {}
    for event in source.events():
        match event:
            case StateRead():
                state = event.state
            case TelemetryRead():
                telemetry[event.key] += 1
                order["telemetry"] = None
            case ImageBegun():
                order["images"] = None
            case ImageRead():
                images[event.image] = FoundImage(event.image, event.head, event.tail, whole=True)
            case DocumentEnd() if state is not None:
                return Examined(
                    state=state,
                    images=images,
                    lost=frozenset(),
                    telemetry=dict(telemetry),
                    late=event.late,
                    seal=event.report,
                    problem=None,
                    records=0,
                    data_bytes=0,
                    damage=(),
                    damaged_images=frozenset(),
                    order=tuple(order),
                )
            case _:
                continue
    raise PeerMisbehaved("the document ends early")
