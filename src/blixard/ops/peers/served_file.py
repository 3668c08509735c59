"""What a share serves: one export file, held open, its hollow document and its frames by digest.

The file is read once when the share begins: damage is found before anybody fetches, and from then on a digest leads to
its frame in one read. A file that is renamed or deleted meanwhile is served from the descriptor all the same.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from blixard import files
from blixard.closing import Closing
from blixard.disks.records.dedup import DigestTable
from blixard.disks.records.memory import keep_freed_memory
from blixard.errors import DigestMismatch, UsageError
from blixard.format.events import DocumentEnd, ImageBegun, IntegrityReport
from blixard.format.hollow import hollow_document, stored_frame, whole_text
from blixard.format.index import FastView, open_fast
from blixard.format.reader import read_export
from blixard.limits import DEFAULT, Limits
from blixard.model.structs import Record
from blixard.place import open_input, reread, spool
from blixard.ports import Progress

_PLACE = struct.Struct("<II")


class ServedFile(Closing):
    """`peer.ports.ServedDocument` of an export file. Threads may ask for frames at once.

    Args:
        path: of the file.
        progress: told how far the first reading is.
        limits: the bounds in force.

    Raises:
        StorageError: it cannot be read.
        UsageError: it has no digests, so nobody could check what is fetched, or images without an index.
        ExportFileError: it is damaged.
    """

    def __init__(self, path: str, *, progress: Progress, limits: Limits = DEFAULT) -> None:
        self.title = Path(path).name
        self.document = ""
        self.document_size = 0
        self._path = path
        self._limits = limits
        self._lock = threading.Lock()
        self._view: FastView | None = None
        self._stack = ExitStack()
        keep_freed_memory()
        try:
            spill = files.roomy_folder()
            self._places = DigestTable(_PLACE.size, spill_bytes=limits.spill_bytes, folder=spill)
            self._stack.callback(self._places.close)
            self._open(progress)
        except BaseException:
            self._stack.close()
            raise

    @property
    def share_bytes(self) -> int:
        """About what goes to whoever takes all of it, to a few per cent: not every frame was measured."""
        if self._view is None:
            return self.document_size
        index = self._view.index
        stored = sum(row.stored_bytes for row in index.images)
        # gzip takes off again what base64 had put on
        return self.document_size + (stored if index.compressed else stored * 3 // 4)

    def open_document(self) -> BinaryIO:
        """The hollow document, from its beginning; several may be open at once."""
        return reread(self._hollow)

    def frame(self, digest: bytes) -> bytes | None:
        """The zstd frame of the record with this digest, as it lies in the file; None when there is none."""
        with self._lock:
            row = self._places.get(digest)
            if row is None or self._view is None:
                return None
            begin, end = self._view.place(*_PLACE.unpack(row))
            compressed = self._view.index.compressed
        stored = self._given.read_at(begin, end - begin)
        found, frame = stored_frame(stored, compressed=compressed, limits=self._limits)
        return frame if found == digest else None

    def close(self) -> None:
        """Release the file."""
        self._stack.close()

    def _open(self, progress: Progress) -> None:
        self._given = self._stack.enter_context(open_input(self._path))
        if not self._given.seekable:
            raise UsageError(f"`{self._path}` cannot be shared: it is not a file that can be read twice")
        view = open_fast(self._given, limits=self._limits)
        if view is not None:
            self._view = self._stack.enter_context(view)
            self._check(view.survey.report)
            self._keep(self._with_places(view, progress))
            return
        self._keep(whole_text(self._given.stream))
        self._check(self._report_of_state())

    def _report_of_state(self) -> IntegrityReport:
        """A document without images has no index and needs none: all of it is in the hollow document."""
        with self.open_document() as document:
            for event in read_export(document, limits=self._limits):
                if isinstance(event, ImageBegun):
                    raise UsageError(
                        f"`{self._path}` holds disks and no index: it was edited or re-formatted",
                        hint=f"`blixard cluster fmt {self._path}` puts it in order",
                    )
                if isinstance(event, DocumentEnd):
                    return event.report
        raise AssertionError("a reader that does not raise comes to the end")

    def _check(self, report: IntegrityReport) -> None:
        if report.claimed is None:
            raise UsageError(
                f"`{self._path}` has no digests, so nobody could check what they fetch",
                hint="export without `--template`, or hand the file itself over",
            )
        if report.claimed != report.document:
            raise DigestMismatch(
                f"`{self._path}` does not match its digests", hint="`blixard cluster verify` says where"
            )
        self.document = report.document

    def _keep(self, pieces: Iterator[bytes]) -> None:
        self._hollow = self._stack.enter_context(spool(pieces, "the hollow document", task="keep the document"))
        self.document_size = self._hollow.size or 0

    def _with_places(self, view: FastView, progress: Progress) -> Iterator[bytes]:
        """The hollow document; every frame's place goes into the table on the way."""
        rows = view.index.images
        progress.begin(f"reading {self.title}", sum(row.stored_bytes for row in rows))
        done = [0] * len(rows)

        def noted(record: Record, image: int, position: int) -> None:
            self._places.set_default(record.digest, _PLACE.pack(image, position))
            # stored lengths are not known here; by count, each image as a whole comes out right
            share = rows[image].stored_bytes * (position + 1) // rows[image].records
            progress.advance(share - done[image])
            done[image] = share

        yield from hollow_document(view, noted)
        progress.end()
