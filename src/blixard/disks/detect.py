"""Which reader and writer a disk gets: the one place that looks at a disk's first bytes.

A guest can write a qcow2 header into its raw disk, so a guess must never let content choose other files to read: what
is only detected as qcow2 is taken without backing files or not at all. Their code is loaded when there is one: it needs
numpy, a third of the start of an export of state alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from blixard.disks.backing import BackingPolicy
from blixard.disks.qcow2.header import MAGIC
from blixard.disks.qcow2.refusal import malformed, printable
from blixard.disks.raw import RawReader, RawWriter
from blixard.disks.source import DiskFile
from blixard.errors import LimitExceeded
from blixard.limits import DEFAULT, Limits
from blixard.model.structs import Content, DiskFormat
from blixard.ports import DiskReader, DiskWriter


def open_reader(
    path: Path,
    format: DiskFormat | None = None,  # noqa: A002 - the model's word for it
    *,
    backing: BackingPolicy | None = None,
    limits: Limits = DEFAULT,
) -> DiskReader:
    """Open a disk for reading.

    Args:
        path: a regular file or block device that the operator named, symlinks followed.
        format: what the operator says it is; None to look at its first bytes. Anything but qcow2 is then raw.
        backing: what a backing chain may do, when the operator says that the disk is qcow2; None is its defaults.
        limits: the bounds in force.

    Raises:
        StorageError: it cannot be opened or read.
        MalformedExport: a qcow2 image that is refused; detected, not named, as qcow2 while it has a backing file.
        LimitExceeded: a size is past `limits.disk_bytes`.
    """
    source = DiskFile.open(path)
    try:
        match format or _looks_like(source, limits):
            case DiskFormat.RAW:
                return _raw(source, limits)
            case DiskFormat.QCOW2:
                from blixard.disks.qcow2.chain import open_chain

                return open_chain(source, backing or BackingPolicy(), limits)
            case other:
                assert_never(other)
    except BaseException:
        source.close()
        raise


def open_content(path: Path, content: Content) -> DiskReader:
    """Open content of a cluster, with the backing files that were allowed when it was taken in and no others.

    A header that changed since then must not choose which files of the host are read (CVE-2024-32498).

    Raises:
        as `open_reader`.
    """
    allowed = content.backing
    policy = BackingPolicy(alone=True) if allowed is None else BackingPolicy(folder=Path(allowed))
    return open_reader(path, content.format, backing=policy)


def open_writer(
    path: Path,
    format: DiskFormat,  # noqa: A002 - the model's word for it
    size_bytes: int | None,
    *,
    resume: bool = False,
) -> DiskWriter:
    """Make a disk, or with `resume` go on with one that an earlier run left.

    Args:
        path: must not exist, or with `resume` must.
        format: how the content lies in the file.
        size_bytes: virtual size; None is possible for raw, which then grows.
        resume: keep what was written.

    Raises:
        StorageError: no space, permission or I/O.
        MalformedExport: a size that qcow2 cannot have, or None for it.
    """
    match format:
        case DiskFormat.RAW:
            return RawWriter(path, size_bytes, resume=resume)
        case DiskFormat.QCOW2:
            if size_bytes is None:
                raise malformed(str(path), "needs its size before its content")
            from blixard.disks.qcow2.writer import Qcow2Writer

            return Qcow2Writer(path, size_bytes, resume=resume)
        case other:
            assert_never(other)


def _raw(source: DiskFile, limits: Limits) -> DiskReader:
    if source.size_bytes > limits.disk_bytes:
        raise LimitExceeded(
            f"disk `{source.path}` has {source.size_bytes} bytes, `limits.disk_bytes` is {limits.disk_bytes}"
        )
    return RawReader(source)


def _looks_like(source: DiskFile, limits: Limits) -> DiskFormat:
    if not source.begins_with(MAGIC):
        return DiskFormat.RAW
    from blixard.disks.qcow2.metadata import read_header

    name = read_header(source, limits).backing_name
    if name is not None:
        raise malformed(
            str(source.path),
            f"looks like qcow2 with a backing file `{printable(name)}`, and nobody said that it is qcow2",
            hint="add `format=qcow2` if the guest never could write to this file as a raw disk, else `format=raw`",
        )
    return DiskFormat.QCOW2
