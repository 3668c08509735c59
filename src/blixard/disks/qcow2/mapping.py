"""From guest offsets to what the image stores there: L2 tables, read and decoded a slice at a time.

A slice maps 4096 clusters (or subclusters), so that the cache stays small whatever the cluster size: an L2 table of
2 MiB clusters would be 2 MiB on its own. A slice is checked whole when it is read, and kept as runs instead of entries.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from blixard.disks.qcow2.entries import SUBCLUSTERS, Decoded, RangeKind, decode_entries
from blixard.disks.qcow2.metadata import Metadata
from blixard.disks.qcow2.refusal import malformed
from blixard.disks.source import DiskFile

_SLICE_UNITS = 4096
_CACHED_SLICES = 64
"""Worst case, all runs of one unit: about 0.3 MiB a slice."""


class Run(Struct, frozen=True, gc=False):
    """Guest bytes `start` to `end`; `place` is as in `entries.Decoded`."""

    start: int
    end: int
    kind: int
    place: int


class _Slice:
    """The runs of one slice, by guest offset."""

    def __init__(self, start: int, end: int, unit_bytes: int, decoded: Decoded) -> None:
        self.end = end
        self._starts: list[int] = (decoded.first_units * unit_bytes + start).tolist()
        self._kinds: list[int] = decoded.kinds.tolist()
        self._places: list[int] = decoded.places.tolist()
        self._starts.append(end)

    def runs(self, start: int, end: int) -> Iterator[Run]:
        """Yield the runs between `start` and `end`, which lie inside the slice."""
        index = bisect_right(self._starts, start) - 1
        while start < end:
            stop = min(self._starts[index + 1], end)
            kind, place = self._kinds[index], self._places[index]
            if kind == RangeKind.DATA:
                place += start - self._starts[index]
            yield Run(start, stop, kind, place)
            start = stop
            index += 1


class Mapping:
    """The guest's view of one image of a chain. Thread-safe."""

    def __init__(self, source: DiskFile, metadata: Metadata) -> None:
        self._source = source
        self._metadata = metadata
        header = metadata.header
        self._size = header.size_bytes
        self._table_guest_bytes = header.l2_guest_bytes
        units_per_cluster = SUBCLUSTERS if header.extended_l2 else 1
        self._unit_bytes = header.cluster_bytes // units_per_cluster
        self._slice_entries = min(header.l2_entries, _SLICE_UNITS // units_per_cluster)
        self._slice_guest_bytes = self._slice_entries << header.cluster_bits
        self._slices: OrderedDict[int, _Slice] = OrderedDict()
        self._lock = threading.Lock()

    def runs(self, start: int, end: int) -> Iterator[Run]:
        """Yield what is stored from `start` to `end`, without gaps, `NONE` where nothing is.

        Raises:
            MalformedExport: a table entry breaks the format.
        """
        while start < end:
            table = start // self._table_guest_bytes
            if self._metadata.l2_offsets[table]:
                piece = self._slice(start // self._slice_guest_bytes)
                stop = min(end, piece.end)
                yield from piece.runs(start, stop)
            else:
                stop = min(end, (table + 1) * self._table_guest_bytes)
                yield Run(start, stop, RangeKind.NONE, 0)
            start = stop

    def stored_runs(self) -> Iterator[Run]:
        """Yield all runs but `NONE`, ascending; costs nothing for L2 tables that do not exist.

        Raises:
            MalformedExport: a table entry breaks the format.
        """
        for table in np.flatnonzero(self._metadata.l2_offsets).tolist():
            start = table * self._table_guest_bytes
            end = min(start + self._table_guest_bytes, self._size)
            for run in self.runs(start, end) if start < end else ():
                if run.kind != RangeKind.NONE:
                    yield run

    def _slice(self, number: int) -> _Slice:
        with self._lock:
            known = self._slices.get(number)
            if known is not None:
                self._slices.move_to_end(number)
                return known
        loaded = self._load(number)  # two threads may both load it: harmless, and no lock is held during I/O
        with self._lock:
            self._slices[number] = loaded
            if len(self._slices) > _CACHED_SLICES:
                self._slices.popitem(last=False)
        return loaded

    def _load(self, number: int) -> _Slice:
        header = self._metadata.header
        start = number * self._slice_guest_bytes
        end = min(start + self._slice_guest_bytes, self._size)
        clusters = -(-(end - start) // header.cluster_bytes)  # entries past the end of the disk mean nothing
        table, inside = divmod(start, self._table_guest_bytes)
        at = int(self._metadata.l2_offsets[table]) + (inside >> header.cluster_bits) * header.l2_entry_bytes
        raw = self._source.read(at, clusters * header.l2_entry_bytes)
        decoded = decode_entries(raw, header, str(self._source.path))
        self._check_places(decoded)
        return _Slice(start, end, self._unit_bytes, decoded)

    def _check_places(self, decoded: Decoded) -> None:
        """Check that data lies inside the file and outside the metadata."""
        where = str(self._source.path)
        file_bytes = self._source.size_bytes
        data_end = int(decoded.data_offsets.max(initial=-1)) + 1
        packed_end = int((decoded.compressed_offsets + decoded.compressed_lengths).max(initial=0))
        if max(data_end, packed_end - 511) > file_bytes:
            file_bytes = self._source.current_size()  # an image in use grows
        if data_end > file_bytes:
            raise malformed(where, f"has a data cluster at {data_end - 1}, beyond the end of the file")
        if packed_end - 511 > file_bytes:
            raise malformed(where, f"has a compressed cluster that ends at {packed_end}, beyond the end of the file")
        cluster = self._metadata.header.cluster_bytes
        self._metadata.regions.check_data(decoded.data_offsets, cluster)
        self._metadata.regions.check_data(decoded.compressed_offsets, decoded.compressed_lengths)
