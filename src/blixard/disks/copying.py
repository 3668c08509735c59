"""A new disk with the content of another, whatever the format of either: how a chain is flattened, or a format changed.

Only what may hold data is read, and blocks of zeros are left out, so the new disk is as small as it can be.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blixard.disks.detect import open_writer
from blixard.disks.records.memory import PageBuffer
from blixard.limits import BLOCK_BYTES, CELL_BYTES
from blixard.model.structs import DiskFormat
from blixard.ports import DiskReader


def copy_disk(
    reader: DiskReader, path: Path, shape: DiskFormat, size_bytes: int, advance: Callable[[int], None] | None = None
) -> None:
    """Make a valid, durable disk of what `reader` shows. Its name is durable when the caller synced the directory.

    Args:
        reader: the content.
        path: of the new file, which is not there yet.
        shape: of the new file.
        size_bytes: virtual size of the new disk; what the old one shows behind it is left out.
        advance: told guest bytes as they are done; they add up to `size_bytes`.

    Raises:
        StorageError: the content cannot be read, or the disk not be written; the caller removes what is left of it.
        MalformedExport: the content is an image that breaks its format, or the size is none of the new format.
    """
    tell = advance or (lambda _amount: None)
    buffer = PageBuffer(CELL_BYTES)
    with open_writer(path, shape, size_bytes) as writer:
        at = 0
        for extent in reader.extents():
            end = min(extent.offset + extent.length, size_bytes)
            for start in range(extent.offset, end, CELL_BYTES):
                tell(start - at)
                piece = buffer.view[: min(CELL_BYTES, end - start)]
                reader.read_into(start, piece)
                for inner in range(0, len(piece), BLOCK_BYTES):
                    stop = min(inner + BLOCK_BYTES, len(piece))
                    if not buffer.is_zero(inner, stop):
                        writer.write(start + inner, piece[inner:stop])
                at = start + len(piece)
                tell(len(piece))
        tell(size_bytes - at)
        writer.finish()
