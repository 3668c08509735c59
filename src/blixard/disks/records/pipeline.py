"""Disks into records, in order, with all cores busy: the export's side of `disks`.

One thread reads, cuts, hashes and decides what is new, in document order, so that the first holder carries the data
whatever the number of threads; workers compress and encode, which is 9/10 of the work; the caller takes the results in
order. Everything is bounded by a fixed set of buffers that go round (docs/adr/0004-records-pipeline.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue

from blake3 import blake3
from msgspec import Struct

from blixard.closing import Closing
from blixard.disks.records.crew import Crew
from blixard.disks.records.cutting import Cell, cells, runs
from blixard.disks.records.dedup import DigestTable
from blixard.disks.records.frames import make_frame
from blixard.disks.records.memory import PageBuffer
from blixard.errors import InternalError
from blixard.limits import CELL_BYTES, ZSTD_LEVEL
from blixard.model.structs import Record
from blixard.ports import DiskReader

Encode = Callable[[Record, bytes | memoryview | None], tuple[bytes, ...]]


class Chunk(Struct, frozen=True):
    """One record: itself, its zstd frame (None for a reference), and what `encode` made of both."""

    record: Record
    frame: bytes | None
    line: tuple[bytes, ...]


_Make = Callable[[Record, memoryview], Chunk]


def _chunk(record: Record, data: memoryview, *, zstd_level: int, encode: Encode) -> Chunk:
    frame = make_frame(data, zstd_level) if record.carries else None
    return Chunk(record, frame, encode(record, frame))


class RecordPipeline(Closing):
    """Worker threads for the disks of one document; a context manager that ends them.

    Args:
        threads: workers, at least 1; the reading thread comes on top.
        dedup: what the document carries so far; it belongs to one pipeline.
        zstd_level: of the frames.
    """

    def __init__(self, threads: int, dedup: DigestTable, zstd_level: int = ZSTD_LEVEL) -> None:
        self._dedup = dedup
        self._zstd_level = zstd_level
        # two a worker, so that none waits, one being read, two waiting for the caller
        self._buffers = [PageBuffer(CELL_BYTES) for _ in range(2 * threads + 3)]
        self._crew = Crew(threads, weight=CELL_BYTES, name="record")
        self._disk: _Disk | None = None
        self._broken = False

    def records(self, reader: DiskReader, encode: Encode, advance: Callable[[int], None]) -> Iterator[Chunk]:
        """The records of one disk, in order; the same with any number of threads.

        Args:
            reader: the disk.
            encode: pure; runs in worker threads, for several records at once.
            advance: told guest bytes as they are done, on the caller's thread; they add up to the disk's size.

        Raises:
            StorageError, MalformedExport: from the reader, after every record before the place was given.
        """
        if self._broken:
            raise InternalError("a pipeline was used after its records were left unread")
        self._broken = True  # until all that the dedup table counts as carried was given to the caller
        make = partial(_chunk, zstd_level=self._zstd_level, encode=encode)
        disk = self._disk = _Disk(reader, self._dedup, make, self._crew, self._buffers)
        try:
            done = 0
            while (job := disk.next_job()) is not None:
                yield from job.chunks
                advance(job.end - done)
                done = job.end
                disk.give_back(job)
            self._broken = False
            disk.raise_problem()
            advance(reader.size_bytes - done)
        finally:
            disk.stop()

    def close(self) -> None:
        """End the threads, also those of a disk whose records were left unread."""
        if self._disk is not None:
            self._disk.stop()
        self._crew.close()


class _Job:
    """One cell on its way: cut and hashed by the reading thread, encoded by a worker, taken by the caller."""

    __slots__ = ("buffer", "chunks", "cuts", "done", "end", "make", "problem")

    def __init__(self, buffer: PageBuffer, cuts: list[tuple[Record, int]], end: int, make: _Make) -> None:
        self.buffer = buffer
        self.cuts = cuts
        self.end = end
        self.make = make
        self.chunks: list[Chunk] = []
        self.problem: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            for record, start in self.cuts:
                data = self.buffer.view[start : start + record.length]
                self.chunks.append(self.make(record, data))
        except BaseException as problem:  # noqa: BLE001 - raised on the caller's thread, in its turn
            self.problem = problem
        finally:
            self.done.set()


class _Disk:
    """One disk being read by its own thread. A buffer is a permit: without a free one the reader waits."""

    def __init__(
        self, reader: DiskReader, dedup: DigestTable, make: _Make, crew: Crew, buffers: list[PageBuffer]
    ) -> None:
        self._reader = reader
        self._dedup = dedup
        self._make = make
        self._crew = crew
        self._free: SimpleQueue[PageBuffer | None] = SimpleQueue()
        for buffer in buffers:
            self._free.put(buffer)
        self._ordered: SimpleQueue[_Job | None] = SimpleQueue()
        self._problem: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._read, name="record-reader", daemon=True)
        self._thread.start()

    def next_job(self) -> _Job | None:
        """The next cell, encoded; None after the last one, or where reading stopped. Raises what `encode` raised."""
        job = self._ordered.get()
        if job is None:
            return None
        job.done.wait()
        if job.problem is not None:
            raise job.problem
        return job

    def give_back(self, job: _Job) -> None:
        """The caller is done with a cell: its buffer may be filled again."""
        job.chunks = []
        self._free.put(job.buffer)

    def raise_problem(self) -> None:
        """Raise what ended the reading early, if anything did."""
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """End the reading thread and leave nothing running that uses the buffers."""
        self._stopped = True
        self._free.put(None)
        self._thread.join()
        self._crew.drain()

    def _read(self) -> None:
        try:
            for cell in cells(self._reader.extents(), self._reader.size_bytes):
                buffer = self._free.get()
                if buffer is None or self._stopped:
                    return
                if not self._give(cell, buffer):
                    self._free.put(buffer)
        except BaseException as problem:  # noqa: BLE001 - raised on the caller's thread, after the records before it
            self._problem = problem
        finally:
            self._ordered.put(None)

    def _give(self, cell: Cell, buffer: PageBuffer) -> bool:
        """Read, cut, hash, look up and hand over one cell; False when it holds only zeros."""
        view = buffer.view
        for start, end in cell.spans:
            self._reader.read_into(cell.offset + start, view[start:end])
        cuts: list[tuple[Record, int]] = []
        for start, end in runs(buffer, cell.spans):
            digest = blake3(view[start:end]).digest()
            cuts.append((Record(cell.offset + start, end - start, digest, self._dedup.add(digest)), start))
        if not cuts:
            return False
        job = _Job(buffer, cuts, cell.offset + cell.spans[-1][1], self._make)
        self._ordered.put(job)
        self._crew.submit(job.run, 0)
        return True
