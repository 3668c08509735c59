"""Open content of a cluster for reading, with the backing files that were allowed when it was taken and no others.

A header that changed since then must not choose which files of the host are read (CVE-2024-32498).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blixard.disks.detect import open_reader
from blixard.model.structs import Content, DiskFormat

if TYPE_CHECKING:
    from blixard.disks.qcow2.reader import Qcow2Reader
    from blixard.disks.raw import RawReader


def open_content(path: Path, content: Content) -> RawReader | Qcow2Reader:
    """Open the content that lies at `path`.

    Raises:
        StorageError: it cannot be read.
        MalformedExport: it is a qcow2 image that is refused.
    """
    if content.format is not DiskFormat.QCOW2:
        return open_reader(path, content.format)
    from blixard.disks.qcow2.chain import BackingPolicy

    allowed = content.backing
    policy = BackingPolicy(alone=True) if allowed is None else BackingPolicy(folder=Path(allowed))
    return open_reader(path, content.format, backing=policy)
