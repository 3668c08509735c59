"""Opening an image with the images it stands on, without letting it choose which files of the host are read.

A backing file's name is the attacker's classic (CVE-2024-32498): here it is a plain path, beneath one allowed
directory, reached without symlinks, in a format that the header names. QEMU would take URLs, JSON and a guess.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from blixard import files
from blixard.disks.backing import BackingPolicy
from blixard.disks.qcow2.header import MAGIC, Header
from blixard.disks.qcow2.metadata import read_header, read_metadata
from blixard.disks.qcow2.reader import Qcow2Reader
from blixard.disks.qcow2.refusal import malformed, printable
from blixard.disks.raw import RawReader
from blixard.disks.source import DiskFile
from blixard.errors import StorageError
from blixard.limits import Limits
from blixard.ports import DiskReader


def open_chain(source: DiskFile, policy: BackingPolicy, limits: Limits) -> Qcow2Reader:
    """Open the qcow2 image in `source`, which is taken over, and its backing chain.

    Raises:
        MalformedExport: an image, a name or the chain is refused.
        LimitExceeded: a virtual size is past `limits.disk_bytes`.
        StorageError: a file of the chain cannot be read.
    """
    folder = Path(os.path.realpath(source.path.parent))
    allowed = folder if policy.folder is None else Path(os.path.realpath(policy.folder))
    return _Opening(allowed, policy, limits).image(source, folder)


class _Opening:
    """A chain being opened, top to bottom."""

    def __init__(self, allowed: Path, policy: BackingPolicy, limits: Limits) -> None:
        self._allowed = allowed
        self._policy = policy
        self._limits = limits
        self._seen: set[tuple[int, int]] = set()

    def image(self, source: DiskFile, folder: Path) -> Qcow2Reader:
        """Open one image and what is below; `folder` is what its backing name is relative to."""
        backing: DiskReader | None = None
        try:
            self._count(source)
            header = read_header(source, self._limits)
            metadata = read_metadata(source, header, self._limits)
            if header.backing_name is not None:
                backing = self._backing(source, header, header.backing_name, folder)
            return Qcow2Reader(source, metadata, backing, self._limits)
        except BaseException:
            source.close()
            if backing is not None:
                backing.close()
            raise

    def _count(self, source: DiskFile) -> None:
        if source.identity in self._seen:
            raise malformed(str(source.path), "is its own backing file")
        self._seen.add(source.identity)
        if len(self._seen) > self._limits.qcow2_chain:
            raise malformed(str(source.path), f"makes the chain longer than {self._limits.qcow2_chain} images")

    def _backing(self, source: DiskFile, header: Header, name: bytes, folder: Path) -> DiskReader:
        where = str(source.path)
        if self._policy.alone:
            raise malformed(
                where,
                f"names a backing file `{printable(name)}`, and it was attached as an image that has none",
                hint="attach it again, saying `format=qcow2`, or flatten it with `qemu-img convert`",
            )
        path = backing_path(name, folder, self._allowed, where)
        named = header.extensions.backing_format
        if named is None and not self._policy.guess_format:
            raise malformed(
                where,
                f"does not name the format of its backing file `{printable(name)}`",
                hint="name it with `qemu-img rebase -u -b FILE -F FORMAT`, after looking at what the file is",
            )
        if named not in {None, b"qcow2", b"raw"}:
            raise malformed(where, f"has a backing file in format `{printable(named)}`, raw and qcow2 are known")
        below = _open_beneath(self._allowed, path, where)
        try:
            if named == b"qcow2" or (named is None and below.begins_with(MAGIC)):
                return self.image(below, path.parent)
            self._count(below)
            return RawReader(below)
        except BaseException:
            below.close()
            raise


def backing_path(name: bytes, folder: Path, allowed: Path, where: str) -> Path:
    """Resolve a backing file's name, by text alone: symlinks are refused when it is opened.

    Args:
        name: as the header has it.
        folder: real path of the folder of the image that names it.
        allowed: real path of the folder that it must lie beneath.
        where: the image, for messages.

    Raises:
        MalformedExport: not a plain path, or it leads out of `allowed`.
    """
    text = os.fsdecode(name)
    if "\0" in text or ":" in text.split("/", 1)[0]:
        raise malformed(where, f"names its backing file `{printable(name)}`, which is not a plain path")
    path = Path(os.path.normpath(folder / text))
    if path == allowed or not path.is_relative_to(allowed):
        raise malformed(
            where,
            f"names its backing file `{printable(name)}`, which is not beneath `{allowed}`",
            hint="`backing=DIR` allows the folder that holds the whole chain; `qemu-img convert` flattens the image",
        )
    return path


def _open_beneath(allowed: Path, path: Path, where: str) -> DiskFile:
    try:
        return DiskFile(files.open_beneath(allowed, path.relative_to(allowed)), path)
    except StorageError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise malformed(
                where, f"has a backing file `{printable(path)}` that is reached through a symlink"
            ) from error
        raise
