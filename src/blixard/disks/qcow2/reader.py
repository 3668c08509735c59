"""A qcow2 image as the guest sees it, its backing chain flattened (`ports.DiskReader`).

One reader stands for one image and holds the reader of the image below it; what an image does not store is asked of the
next one, what it stores as zeros is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blixard.closing import Closing
from blixard.disks.qcow2.compressed import CompressedClusters
from blixard.disks.qcow2.entries import RangeKind
from blixard.disks.qcow2.mapping import Mapping, Run
from blixard.disks.qcow2.metadata import Metadata
from blixard.disks.qcow2.overlay import overlay_extents
from blixard.disks.qcow2.refusal import malformed
from blixard.disks.qcow2.snapshots import Snapshot
from blixard.disks.source import DiskFile
from blixard.errors import StorageError
from blixard.limits import Limits
from blixard.model.structs import DiskFormat
from blixard.ports import DiskReader, Extent


class Qcow2Reader(Closing):
    """An open image; `chain.open_chain` makes one."""

    format = DiskFormat.QCOW2

    def __init__(self, source: DiskFile, metadata: Metadata, backing: DiskReader | None, limits: Limits) -> None:
        """Take over an open source with its checked metadata, and the reader of its backing image."""
        self._source = source
        self._metadata = metadata
        self._backing = backing
        self._mapping = Mapping(source, metadata)
        self._clusters = CompressedClusters(source, metadata.header, limits)
        self._most_stored = source.size_bytes * limits.qcow2_expansion
        self._cluster_bytes = metadata.header.cluster_bytes

    @property
    def size_bytes(self) -> int:
        """Virtual size."""
        return self._metadata.header.size_bytes

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """Internal snapshots of this image; their content is not read."""
        return self._metadata.snapshots

    @property
    def files(self) -> tuple[Path, ...]:
        """The image, then the files that it stands on, from the top down."""
        return (self._source.path, *(self._backing.files if self._backing is not None else ()))

    def extents(self) -> Iterator[Extent]:
        """What may hold data through the whole chain; zero clusters and holes of the files are left out."""
        below = self._backing.extents() if self._backing else iter(())
        return overlay_extents(self._stored_runs(), below, self.size_bytes)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `DiskReader.read_into`."""
        end = offset + len(buffer)
        if end > self.size_bytes:
            raise StorageError(f"`{self._source.path}` ends at byte {self.size_bytes}, {end} is beyond")
        for run in self._mapping.runs(offset, end):
            self._read_run(run, buffer[run.start - offset : run.end - offset])

    def changed(self) -> bool:
        """True when somebody wrote to an image of the chain since it was opened."""
        return self._source.changed() or (self._backing is not None and self._backing.changed())

    def close(self) -> None:
        """Close all images of the chain."""
        self._source.close()
        if self._backing is not None:
            self._backing.close()

    def _read_run(self, run: Run, part: memoryview) -> None:
        if run.kind == RangeKind.DATA:
            self._source.read_padded(run.place, part)  # the last cluster may end with the file
        elif run.kind == RangeKind.COMPRESSED:
            inside = run.start % self._cluster_bytes
            part[:] = memoryview(self._clusters.cluster(run.place))[inside : inside + len(part)]
        elif run.kind == RangeKind.NONE and self._backing is not None:
            have = max(0, min(len(part), self._backing.size_bytes - run.start))
            if have:
                self._backing.read_into(run.start, part[:have])
            part[have:] = bytes(len(part) - have)
        else:
            part[:] = bytes(len(part))

    def _stored_runs(self) -> Iterator[Run]:
        """Yield what this image stores; refuse one that maps the same bytes over and over (or a bomb)."""
        stored = 0
        for run in self._mapping.stored_runs():
            if run.kind == RangeKind.ZERO:
                yield run
                continue
            stored += run.end - run.start
            if stored > self._most_stored:
                raise malformed(
                    str(self._source.path),
                    f"stores more than {self._most_stored} bytes in a file of {self._source.size_bytes}",
                )
            yield from self._without_holes(run) if run.kind == RangeKind.DATA else (run,)

    def _without_holes(self, run: Run) -> Iterator[Run]:
        """Split a data run where the file has holes: preallocated images are mostly that."""
        shift = run.start - run.place
        at = run.start
        for start, end in self._source.data_ranges(run.place, run.place + run.end - run.start):
            if start + shift > at:
                yield Run(at, start + shift, RangeKind.ZERO, 0)
            yield Run(start + shift, end + shift, RangeKind.DATA, start)
            at = end + shift
        if at < run.end:
            yield Run(at, run.end, RangeKind.ZERO, 0)
