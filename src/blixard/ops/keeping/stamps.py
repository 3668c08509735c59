"""Whether content is still what an import put there: a digest counts only while nobody wrote to the file.

A hypervisor writes to a disk without telling us; its time of modification tells. What cannot be proven has no digest.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from blixard.home import ClusterDir
from blixard.model.structs import ClusterSnapshot


def stamp_of(path: Path) -> str | None:
    """What changes when somebody writes to `path`; None when it cannot be asked."""
    try:
        about = path.stat()
    except OSError:
        return None
    return f"{about.st_ino}:{about.st_size}:{about.st_mtime_ns}"


def with_proven_digests(snapshot: ClusterSnapshot, cluster: ClusterDir) -> ClusterSnapshot:
    """The state, with digests only of contents that were not written to since."""
    contents = dict(snapshot.contents)
    for key, content in snapshot.contents.items():
        if content.digest is None:
            continue
        current = stamp_of(cluster.disks / content.file) if content.file is not None else None
        if content.stamp is None or current != content.stamp:
            contents[key] = structs.replace(content, digest=None)
    return structs.replace(snapshot, contents=contents)
