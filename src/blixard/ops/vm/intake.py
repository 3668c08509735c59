"""Content taken into a cluster: a disk or large file becomes a new file under `disks/`, or stays where it is.

What is copied is durable before anything names it, and nothing names it before the state does: a kill in between leaves
a file that the next sweep finds because nobody knows it (`leftovers`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
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
from blixard.limits import Limits
from blixard.model.structs import Content, DiskFormat
from blixard.ports import Progress


class Taken(Struct, frozen=True):
    """Content that is on disk now; `warnings` is what the operator must know about it."""

    content: Content
    warnings: tuple[str, ...] = ()


def take_disk(
    path: Path,
    disk_format: DiskFormat | None,
    cluster: ClusterDir,
    name: str,
    *,
    backing: Path | None = None,
    limits: Limits,
    progress: Progress,
) -> Taken:
    """Copy the disk at `path` into `cluster`.

    A raw disk or a qcow2 image that stands alone is reflinked or copied as it is, sparse; one with a backing chain is
    flattened, because its backing files stay outside.

    Args:
        path: of the disk, symlinks followed: the operator named it.
        disk_format: what the operator says it is; None to look.
        cluster: gets the file.
        name: what the new file's name begins with.
        backing: folder that holds its backing files; None is the disk's own.
        limits: bounds.
        progress: told about the bytes.

    Raises:
        StorageError: it cannot be read, or the copy not written; nothing is left behind.
        MalformedExport: it is a qcow2 image that is refused.
    """
    reader = open_reader(path, disk_format, backing=BackingPolicy(folder=backing), limits=limits)
    try:
        target = _new_path(cluster, name, reader.format.value)
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


def look_at_disk(path: Path, disk_format: DiskFormat | None, *, backing: Path | None = None, limits: Limits) -> Content:
    """The content of a disk that is kept in place.

    Where its backing files may lie is settled now, for as long as it is attached: a header that changes later must not
    choose other files. Only what the operator calls by its format may have any.

    Args:
        path: of the disk, symlinks followed now.
        disk_format: what the operator says it is; None to look.
        backing: folder that holds its backing files; None is the disk's own.
        limits: bounds.

    Raises:
        StorageError: it cannot be read.
        MalformedExport: it is a qcow2 image that is refused.
    """
    real = path.resolve()
    reader = open_reader(real, disk_format, backing=BackingPolicy(folder=backing), limits=limits)
    allowed = str((backing or real.parent).resolve()) if disk_format is not None and disk_format.has_backing else None
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


def give_back(cluster: ClusterDir, contents: list[Content]) -> None:
    """Remove copies that no state came to name."""
    for content in contents:
        if content.file is not None:
            with suppress(StorageError):  # the first error is the one to tell; a sweep finds the rest
                files.unlink(cluster.disks / content.file, missing_ok=True)


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
