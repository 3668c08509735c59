"""Where the metadata of an image lies, proven not to overlap: tables that share bytes are how one entry becomes many.

Everything the header, L1 and refcount table point to is one interval; sorted once, they answer for every data cluster
whether it points into metadata. The intervals are two numpy arrays, 16 bytes for each table of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from blixard.disks.qcow2.refusal import malformed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Offsets = NDArray[np.int64]


class Region(Struct, frozen=True):
    """Metadata called `name`: `length` bytes at `offset`, or at each of `offset` when there are many."""

    name: str
    offset: int | Offsets
    length: int


class Regions:
    """All metadata of an image, ascending, in whole clusters."""

    def __init__(self, regions: list[Region], cluster_bytes: int, file_bytes: int, where: str) -> None:
        """Check that each region lies inside the file and none overlaps another.

        Raises:
            MalformedExport: one does not.
        """
        self._where = where
        self._cluster_bytes = cluster_bytes
        for region in regions:
            _check_inside(region, file_bytes, where)
        starts = np.concatenate([np.atleast_1d(np.asarray(region.offset, np.int64)) for region in regions])
        counts = [np.size(region.offset) for region in regions]
        lengths = [-(-region.length // cluster_bytes) * cluster_bytes for region in regions]
        order = np.argsort(starts, kind="stable")
        self._starts: Offsets = starts[order]
        self._ends: Offsets = (starts + np.repeat(np.asarray(lengths, np.int64), counts))[order]
        self._next_starts: Offsets = np.append(self._starts, np.iinfo(np.int64).max)
        self._check_disjoint(regions, np.repeat(np.arange(len(regions)), counts)[order])

    def _check_disjoint(self, regions: list[Region], owners: NDArray[np.int64]) -> None:
        clashes = np.flatnonzero(self._ends[:-1] > self._starts[1:])
        if not clashes.size:
            return
        first = int(clashes[0])
        one, two = regions[owners[first]].name, regions[owners[first + 1]].name
        start, other = int(self._starts[first]), int(self._starts[first + 1])
        if one == two and start == other:
            raise malformed(self._where, f"uses the {one} at {start} twice")
        raise malformed(self._where, f"has its {one} at {start} overlapping its {two} at {other}")

    def check_data(self, offsets: Offsets, lengths: int | Offsets) -> None:
        """Check that data at `offsets` does not reach into metadata.

        Raises:
            MalformedExport: it does.
        """
        if not offsets.size:
            return
        after = np.searchsorted(self._starts, offsets, side="right")  # the header is at 0, so there is one before
        bad = np.flatnonzero((self._ends[after - 1] > offsets) | (self._next_starts[after] < offsets + lengths))
        if bad.size:
            raise malformed(self._where, f"has a data cluster at {int(offsets[bad[0]])}, inside its metadata")


def _check_inside(region: Region, file_bytes: int, where: str) -> None:
    highest = int(region.offset.max(initial=0)) if isinstance(region.offset, np.ndarray) else region.offset
    if highest + region.length > file_bytes:
        raise malformed(where, f"has its {region.name} at {highest}, beyond the end of the file at {file_bytes}")
