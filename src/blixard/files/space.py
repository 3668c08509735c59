"""How much room there is, and how much a file really takes.

`free_bytes` is what this user may write (f_bavail), not what root could: what is reserved for root cannot be promised.
"""

from __future__ import annotations

import os
from pathlib import Path

from blixard.files.paths import is_there
from blixard.files.seam import AnyPath, translated


def free_bytes(path: AnyPath) -> int:
    """Bytes that may be written on the file system of `path`, or of the nearest directory above that exists."""
    at = Path(path)
    while not is_there(at) and at.parent != at:
        at = at.parent
    with translated("ask for free space at", at):
        about = os.statvfs(at)
    return about.f_bavail * about.f_frsize


def roomy_folder() -> Path:
    """Where large temporary files go that belong to nothing: TMPDIR, else /var/tmp, which is a disk where /tmp is not.

    Source: FHS 3.0 section 5.15 (what lies in /var/tmp outlives a reboot).
    """
    disk = Path("/var/tmp")  # noqa: S108 - files without a name are made in there
    if not os.environ.get("TMPDIR") and os.access(disk, os.W_OK | os.X_OK):
        return disk
    import tempfile  # 4 ms, and most commands only ask how much is free

    return Path(tempfile.gettempdir())


def allocated_bytes(path: AnyPath) -> int:
    """Bytes on disk of a file, or of everything in a directory; 0 for what is not there. Symlinks are not followed."""
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        return 0
    total = about.st_blocks * 512
    if not Path(path).is_dir() or Path(path).is_symlink():
        return total
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            try:
                total += os.lstat(Path(folder) / name).st_blocks * 512
            except FileNotFoundError:
                continue  # being deleted while we look
    return total
