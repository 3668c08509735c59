"""Content taken into a cluster: a disk or large file becomes a new file under `disks/`, or stays where it is.

What is copied is durable before anything names it, and nothing names it before the state does: a kill in between leaves
a file that the next sweep finds because nobody knows it (`leftovers`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from blixard import files
from blixard.disks.backing import BackingPolicy
from blixard.disks.copying import copy_disk
from blixard.disks.detect import open_reader
from blixard.errors import StorageError
from blixard.home import ClusterDir
from blixard.home.in_use import in_use
from blixard.home.registry import DiskOwner
from blixard.limits import Limits
from blixard.model.structs import Content, ContentKey
from blixard.ops.keeping.claims import release_claims, still_live
from blixard.ops.vm.specs import DiskSpec
from blixard.ports import Progress
from blixard.site.open_cluster import OpenCluster


class Taken(Struct, frozen=True):
    """Content that is on disk now; `warnings` is what the operator must know about it."""

    content: Content
    warnings: tuple[str, ...] = ()


def bring_in(opened: OpenCluster, disk: DiskSpec, owner: DiskOwner, progress: Progress, *, in_place: bool) -> Taken:
    """The content of a disk: a copy in the cluster; or the disk in its place, claimed for `owner` if it writes to it.

    Raises:
        Conflict: another VM writes to the disk that is to stay in its place.
        StorageError: it cannot be read, or the copy not written; nothing is left behind.
        MalformedExport: it is a qcow2 image that is refused.
    """
    if not in_place:
        return _copied(opened, disk, f"{owner.vm}-{owner.disk}", progress)
    content = _in_its_place(disk, opened.policy.limits)
    if not disk.read_only:
        opened.home.registry().claim(disk.path, owner, still_live(opened.home))
    return Taken(content)


def _copied(opened: OpenCluster, disk: DiskSpec, name: str, progress: Progress) -> Taken:
    """Copy a disk into the cluster, as a file whose name begins with `name`; links are followed: the operator named it.

    A raw disk or a qcow2 image that stands alone is reflinked or copied as it is, sparse; one with a backing chain is
    flattened, because its backing files stay outside.
    """
    path = disk.path
    policy = BackingPolicy(folder=disk.backing)
    reader = open_reader(path, disk.format, backing=policy, limits=opened.policy.limits)
    try:
        target = _new_path(opened.directory, name, reader.format.value)
        progress.begin(name, reader.size_bytes)
        users = in_use(path)
        with _gone_on_failure(target):
            if len(reader.files) == 1:
                files.reflink_or_copy(path, target, advance=progress.advance)
            else:
                copy_disk(reader, target, reader.format, reader.size_bytes, progress.advance)
                files.fsync_dir(target.parent)
        progress.end()
        warnings = tuple(f"`{path}` is open in pid {user.pid} (`{user.command}`) while it is copied" for user in users)
        if reader.changed():
            warnings += (f"`{path}` was written to while it was copied: the copy may be torn",)
        return Taken(Content(file=target.name, size_bytes=reader.size_bytes, format=reader.format), warnings)
    finally:
        reader.close()


def _in_its_place(disk: DiskSpec, limits: Limits) -> Content:
    """The content of a disk that is kept in place.

    Where its backing files may lie is settled now, for as long as it is attached: a header that changes later must not
    choose other files. Only what the operator calls by its format may have any.
    """
    real = disk.path.resolve()
    reader = open_reader(real, disk.format, backing=BackingPolicy(folder=disk.backing), limits=limits)
    has_backing = disk.format is not None and disk.format.has_backing
    allowed = str((disk.backing or real.parent).resolve()) if has_backing else None
    try:
        return Content(path=str(real), size_bytes=reader.size_bytes, format=reader.format, backing=allowed)
    finally:
        reader.close()


def take_file(path: Path, cluster: ClusterDir, name: str) -> Content:
    """Copy a file that is too large to be inline into `cluster`.

    Raises:
        StorageError: it cannot be read, or the copy not written; nothing is left behind.
    """
    target = _new_path(cluster, name, "file")
    with _gone_on_failure(target):
        files.reflink_or_copy(path, target)
    return Content(file=target.name, size_bytes=target.stat().st_size)


def give_back(opened: OpenCluster, vm_name: str, contents: Mapping[ContentKey, Content]) -> None:
    """Remove the copies and the claims of a VM's contents that no state came to name.

    The state is asked, because what failed may have failed behind its transaction: an interrupt, say.
    """
    with suppress(StorageError):  # the first error is the one to tell; a sweep finds the rest
        named = opened.snapshot().contents
        unnamed = {key: content for key, content in contents.items() if named.get(key) != content}
        for content in unnamed.values():
            if content.file is not None:
                files.unlink(opened.directory.disks / content.file, missing_ok=True)
        release_claims(opened.home, opened.name, vm_name, unnamed)


@contextmanager
def _gone_on_failure(target: Path) -> Iterator[None]:
    """Remove `target` when what is done inside fails, whatever is there of it."""
    try:
        yield
    except BaseException:
        with suppress(StorageError):
            files.unlink(target, missing_ok=True)
        raise


def _new_path(cluster: ClusterDir, name: str, ending: str) -> Path:
    return cluster.disks / f"{name}-{os.urandom(6).hex()}.{ending}"
