"""`cluster fetch`: an export from its senders into a file, with the same document digest.

The file is written by our writer, front to back, as frames come in; every frame is decoded and hashed before it is
written, and at the end the document is the one that the ticket names or there is no file.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from msgspec import Struct

from blixard.disks.records.pipeline import Encode
from blixard.disks.records.walk import RECORD_BYTES, accepted
from blixard.errors import DigestMismatch, RefusedError
from blixard.format.events import Event, RecordRead
from blixard.home import Home
from blixard.limits import DEFAULT, MIB, Limits
from blixard.model.structs import Record
from blixard.ops.document.canonical_form import Encoded, canonical_form, encoding
from blixard.ops.peers.source import FrameFromPeer, PeerSource
from blixard.place import exists, open_output
from blixard.ports import Progress
from blixard.site.uninterrupted import publish

VERB = "cluster fetch"
_AHEAD_BYTES = 32 * MIB
"""Decoded bytes of records that are asked for before the first of them is written."""
_THREADS = 2
"""Threads that check and encode records; the connections have threads of their own."""


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


def fetch(source: PeerSource, options: FetchFileOptions, *, progress: Progress, home: Home) -> FetchReport:
    """Write the export that `source` gives.

    Raises:
        TransferError and its kind: no sender is left.
        StorageError: the file cannot be written; the one that was there is intact.
        RefusedError: it exists, and `clobber` is off.
    """
    started = time.monotonic()
    _check_clobber(options)
    form = canonical_form(source.take_survey(), options.limits)
    encode = encoding(compress=options.compress)
    with (
        open_output(options.output, home=home) as output,
        _Records(source, encode, options.limits, progress) as records,
    ):
        document = form.write(source.events, output.file, compress=options.compress, storing=records.ahead)
        if document != source.remote.document_digest:
            raise DigestMismatch("what was written is not the document that the ticket names")
        publish(output)
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

    def ahead(self, events: Iterator[Event]) -> Iterator[Event | Encoded]:
        """The events as they are written, each record asked for some way before it comes."""
        waiting: deque[Event | Encoded | Future[Encoded]] = deque()
        for event in events:
            if isinstance(event, RecordRead):
                waiting.append(self._begun(event.record))
            elif waiting:
                waiting.append(event)
            else:  # nothing is asked for: telemetry need not wait in memory
                yield event
            while self._asked_bytes + RECORD_BYTES * len(waiting) >= _AHEAD_BYTES:
                yield self._taken(waiting.popleft())
        while waiting:
            yield self._taken(waiting.popleft())

    def _begun(self, record: Record) -> Encoded | Future[Encoded]:
        if not record.carries:
            return Encoded(record, None, self._encode(record, None))
        self._asked_bytes += record.length
        load = FrameFromPeer(self._source.remote, record.digest, record.length, asked=True)
        return self._workers.submit(self._make, record, load)

    def _taken(self, item: Event | Encoded | Future[Encoded]) -> Event | Encoded:
        if not isinstance(item, Future):
            return item
        encoded = item.result()
        self._asked_bytes -= encoded.record.length
        self.count += 1
        self._progress.advance(encoded.record.length)
        return encoded

    def _make(self, record: Record, load: FrameFromPeer) -> Encoded:
        frame, _ = accepted(record, load, self._limits)
        return Encoded(record, frame, self._encode(record, frame))


def _check_clobber(options: FetchFileOptions) -> None:
    if not options.clobber and exists(options.output):
        raise RefusedError(f"`{options.output}` exists", hint="name another file, or leave out `--no-clobber`")
