"""A qcow2 disk being staged (`ports.DiskWriter`): version 3, 64 KiB clusters, every place known beforehand.

`write` puts the data and the L2 entries of its clusters, both at fixed places, so it holds no state and takes no lock.
`finish` derives the rest from the L2 entries and writes the header last: before that the file is no image at all.
"""

from __future__ import annotations

from pathlib import Path

from blixard import files
from blixard.disks.qcow2.layout import CLUSTER_BITS, CLUSTER_BYTES, plan_layout
from blixard.disks.qcow2.refcounts import closing_pieces
from blixard.disks.qcow2.refusal import malformed
from blixard.disks.raw import NewDisk
from blixard.errors import InternalError


class Qcow2Writer(NewDisk):
    """A new image without backing file, sparse; with `resume`, one that an earlier run made with the same size.

    Raises:
        StorageError: it exists (or does not, with `resume`), or no space or permission.
        MalformedExport: not a size that a qcow2 image can have.
    """

    def __init__(self, path: Path, size_bytes: int, *, resume: bool = False) -> None:
        if size_bytes % 512:
            raise malformed(str(path), f"cannot have a size of {size_bytes} bytes, which is not whole sectors of 512")
        self._layout = plan_layout(size_bytes)
        super().__init__(path, self._layout.data_offset, size_bytes, resume=resume)
        if not resume:
            return
        try:
            self._source.discard(0, CLUSTER_BYTES)  # it may have been finished: an image again only when we say so
        except BaseException:
            self.close()
            raise

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """See `DiskWriter.write`."""
        super().write(offset, data)
        self.mark(offset, len(data))

    def mark(self, offset: int, length: int) -> None:
        """Allocate the clusters of a guest range; `write` does it by itself."""
        if length == 0:
            return
        first, end = offset >> CLUSTER_BITS, (offset + length - 1 >> CLUSTER_BITS) + 1
        entries = self._layout.l2_entries(first, end)
        files.pwrite_all(self._fd, entries, self._layout.l2_entry_offset(first), self._path)

    def discard(self, offset: int, length: int) -> None:
        """Make a guest range zeros; clusters wholly inside are not allocated any more."""
        super().discard(offset, length)
        end = offset + length
        first = -(-offset // CLUSTER_BYTES)
        last = end >> CLUSTER_BITS if end < self._layout.size_bytes else self._layout.data_clusters
        if first < last:
            self._source.discard(self._layout.l2_entry_offset(first), self._layout.l2_entry_offset(last))

    def resize(self, size_bytes: int) -> None:
        """Check that the size is the one that the image was made with: its layout follows from it."""
        if size_bytes != self._layout.size_bytes:
            raise InternalError(f"`{self._path}` was laid out for {self._layout.size_bytes} bytes, not {size_bytes}")

    def finish(self) -> None:
        """Write L1, refcounts and at last the header, all durable: a valid image stands now."""
        for offset, piece in closing_pieces(self._source, self._layout):
            files.pwrite_all(self._fd, piece, offset, self._path)
        whole_clusters = -(-self._source.current_size() // CLUSTER_BYTES) * CLUSTER_BYTES
        files.truncate(self._fd, max(whole_clusters, self._layout.l2_offset), self._path)
        files.fdatasync(self._fd, self._path)
        files.pwrite_all(self._fd, self._layout.header(), 0, self._path)
        files.fsync(self._fd, self._path)
