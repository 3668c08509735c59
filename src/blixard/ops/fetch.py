"""`cluster fetch`: an export from its senders into a file, with the same document digest.

The file is written by our writer, front to back, as frames come in; every frame is decoded and hashed before it is
written, and at the end the document is the one that the ticket names or there is no file.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator

from blake3 import blake3
from msgspec import Struct

from blixard.disks.frames import open_frame
from blixard.errors import DigestMismatch, ExportFileError, InternalError, PeerMisbehaved, RefusedError
from blixard.files import Journal
from blixard.format.events import End, Event, ImageBegun, ImageRead, RecordRead, StateRead, TelemetryRead
from blixard.limits import DEFAULT, MIB, Limits
from blixard.model.incoming import IncomingState
from blixard.model.structs import Record
from blixard.ops.canonical_form import canonical_form
from blixard.ops.examine import Examined, FoundImage
from blixard.ops.peer_source import FrameFromPeer, PeerSource
from blixard.place import open_output
from blixard.ports import Progress

VERB = "cluster fetch"
_AHEAD_BYTES = 48 * MIB
"""Decoded bytes of records that are asked for before the first of them is written."""


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
    frames = _Frames(source, progress)
    with open_output(options.output, journal=journal) as output:
        document = form.write(source.open_document, output.file, compress=options.compress, frame_of=frames.of)
        if document != source.remote.document_digest:
            raise DigestMismatch("what was written is not the document that the ticket names")
        output.commit()
    return FetchReport(
        place=options.output,
        document=document,
        records=frames.count,
        received_bytes=source.remote.statistics().received_bytes,
        seconds=time.monotonic() - started,
    )


class _Frames:
    """Frames in the order of the document, asked for some way ahead."""

    def __init__(self, source: PeerSource, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._ahead = self._carrying(source.events())
        self._asked: deque[tuple[Record, FrameFromPeer]] = deque()
        self._asked_bytes = 0
        self.count = 0

    def of(self, event: RecordRead) -> bytes | None:
        """The frame of the next record; None for a reference."""
        if not event.record.carries:
            return None
        self._ask()
        record, load = self._asked.popleft()
        if record != event.record:
            raise InternalError("frames were asked for in another order")
        self._asked_bytes -= record.length
        self.count += 1
        self._progress.advance(record.length)
        return _checked(record, load)

    def _ask(self) -> None:
        while self._asked_bytes < _AHEAD_BYTES or not self._asked:
            event = next(self._ahead, None)
            if event is None:
                return
            load = FrameFromPeer(self._source.remote, event.record.digest, event.record.length, asked=True)
            self._asked.append((event.record, load))
            self._asked_bytes += event.record.length

    @staticmethod
    def _carrying(events: Iterator[Event]) -> Iterator[RecordRead]:
        return (event for event in events if isinstance(event, RecordRead) and event.record.carries)


def _checked(record: Record, load: FrameFromPeer) -> bytes:
    """A frame whose bytes are what the record says; a sender of another one is dropped."""
    while True:
        frame = load()
        try:
            if blake3(open_frame(frame, record.length)).digest() == record.digest:
                return bytes(frame)
            load.reject("its bytes do not match its digest")
        except ExportFileError as problem:
            load.reject(problem.message)


def _check_clobber(options: FetchFileOptions) -> None:
    from pathlib import Path

    if not options.clobber and options.output != "-" and Path(options.output).exists():
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
            case End() if state is not None:
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
