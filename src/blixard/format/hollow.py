"""A document without its bulk, and its records one by one: what a share gives to those who fetch.

The hollow document is the document with every `zstd` emptied: the ordinary reader reads it, every digest in it is what
it was, and the frames are asked for by digest afterwards. Source: PEER.md section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO

from blixard.errors import MalformedExport
from blixard.format.cursor import Cursor
from blixard.format.envelope import ByteSource, GzipText, PlainText, TextSource, open_text
from blixard.format.index import FastView
from blixard.format.records import WRITTEN, encode_record, frame, read_record
from blixard.limits import DEFAULT, Limits
from blixard.model.structs import Record

_PIECE = 256 << 10
_OUR_ENDS = (b'"},\n', b'"}\n')

Noted = Callable[[Record, int, int], None]
"""Told each record that carries bytes: the record, its image and its position there."""


def hollow_document(view: FastView, noted: Noted) -> Iterator[bytes]:
    """The text of the hollow document; reads the whole file once, and tells `noted` where every frame is.

    Raises:
        MalformedExport, LimitExceeded: the records are not what `read_export` takes.
        DigestMismatch: an image is not what its digest says.
    """
    index, begin = view.index, 0
    for image, row in enumerate(index.images):
        yield from _pieces(view.text([(begin, row.at)]))
        yield from _lines(view, image, row.records, noted)
        begin = row.end
    yield from _pieces(view.text([(begin, index.record_tables), (int(index.own), view.size)]))


def whole_text(stream: ByteSource) -> Iterator[bytes]:
    """The text of a document from where `stream` stands, inflated when it is gzip.

    Raises:
        MalformedExport: the gzip is damaged or cut short.
    """
    yield from _pieces(open_text(stream))


def stored_frame(stored: bytes, *, compressed: bool, limits: Limits = DEFAULT) -> tuple[bytes, bytes]:
    """The digest and the zstd frame of the record that is stored in these bytes (`FastView.place`).

    Raises:
        MalformedExport: they hold no record that carries bytes.
    """
    written = None if compressed else WRITTEN.match(stored)
    if written is not None and written["carries"]:
        # a line as we write it: no copy but the decoding itself; half of a sender's time went into the others
        end = stored.rfind(b'"')
        if stored[end:] in _OUR_ENDS:
            return bytes.fromhex(written["digest"].decode()), frame(memoryview(stored)[written.end("carries") : end])
    source = GzipText(BytesIO(stored)) if compressed else PlainText(BytesIO(stored))
    record, text, _ = read_record(Cursor(source, limits))
    if text is None:
        raise MalformedExport("a record that was to carry bytes is a reference")
    return record.digest, frame(text)


def _lines(view: FastView, image: int, count: int, noted: Noted) -> Iterator[bytes]:
    for event in view.records(image):
        if event.record.carries:
            noted(event.record, image, event.position)
        empty = b"" if event.record.carries else None
        yield from encode_record(event.record, empty, compress=False, last=event.position == count - 1)


def _pieces(source: TextSource) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece
