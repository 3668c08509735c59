"""Export files without a cluster: verify, inspect, diff, extract."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from blixard.api.arguments import StrPath
from blixard.site.config import load_config
from blixard.site.silence import SILENT
from blixard.site.site import Site, named_cluster

if TYPE_CHECKING:
    from blixard.ops.cluster.diff import DiffReport
    from blixard.ops.document.extract import ExtractReport
    from blixard.ops.document.inspect_report import InspectReport
    from blixard.ops.document.verify import VerifyReport
    from blixard.ports import Progress


def verify(
    path: StrPath, *, allow_edited: bool = False, threads: int | None = None, progress: Progress = SILENT
) -> VerifyReport:
    """Check a file: structure, every digest, every record decoded. Damage is in the report: see `intact`.

    Raises:
        ExportFileError: it breaks before there is a VM to tell about, or its version is not known.
        StorageError: it cannot be read.
    """
    from blixard.ops.document.verify import VerifyOptions, verify_file

    site = open_site(None)
    options = VerifyOptions(
        source=os.fspath(path), allow_edited=allow_edited, threads=site.threads(threads), limits=site.config.limits
    )
    return verify_file(options, progress=progress)


def inspect(path: StrPath, *, full: bool = False, secrets: bool = False) -> InspectReport:
    """Look into a file; quick however large it is. Sizes in bytes.

    Args:
        path: of the file.
        full: read every record, for exact figures.
        secrets: find what looks like a secret; it is masked.

    Raises:
        ExportFileError: it is not an export, or of a version that is not known.
        StorageError: it cannot be read.
    """
    from blixard.ops.document.inspect import InspectOptions, inspect_file

    config = open_site(None).config
    paths = config.get("redact.paths", tuple)
    options = InspectOptions(
        source=os.fspath(path), full=full, secrets=secrets, redact_paths=paths, limits=config.limits
    )
    return inspect_file(options)


def diff(before: StrPath, after: StrPath, data_dir: StrPath | None = None, *, volatile: bool = False) -> DiffReport:
    """What differs between two states, object by object and field by field.

    Args:
        before: a path, `cluster:NAME` (`cluster:` is the current one), `undo:ID` or `undo:NAME/ID`.
        after: the same.
        data_dir: where the clusters are.
        volatile: also what differs in every export.

    Raises:
        NotFound: no such cluster or undo entry (a StateError).
        ExportFileError: a file is not acceptable.
        StorageError: it cannot be read.
    """
    from blixard.ops.cluster.diff import DiffOptions
    from blixard.ops.cluster.diff import diff as compare

    site = open_site(data_dir)
    options = DiffOptions(
        before=os.fspath(before), after=os.fspath(after), volatile=volatile, limits=site.config.limits
    )
    return compare(options, lambda name: site.open_named(named_cluster(name)))


def extract(
    source: StrPath,
    what: str,
    output: StrPath,
    *,
    format: Literal["raw", "qcow2"] | None = None,  # noqa: A002 - the field's word for it
    clobber: bool = True,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> ExtractReport:
    """Take one disk or file out of an export, without a cluster; it appears whole or not at all.

    Args:
        source: the export.
        what: `VM`, `VM/DISK` or `VM/FILE`.
        output: path of the disk to write.
        format: None is as the disk was.
        clobber: replace a file that is there.
        threads: workers.
        progress: told about the bytes.

    Raises:
        NotFound: no such VM, or its content is not in the file (a StateError).
        ExportFileError: the content is damaged; nothing was written.
        RefusedError: the output exists with `clobber` off, or is a symlink.
        StorageError: no space, permission or I/O.
    """
    from blixard.model.structs import DiskFormat
    from blixard.ops.document.extract import ExtractOptions
    from blixard.ops.document.extract import extract as take_out

    site = open_site(None)
    options = ExtractOptions(
        source=os.fspath(source),
        what=what,
        output=os.fspath(output),
        format=None if format is None else DiskFormat(format),
        clobber=clobber,
        threads=site.threads(threads),
        limits=site.config.limits,
    )
    return take_out(options, progress=progress, home=site.home)


def open_site(data_dir: StrPath | None, lock_wait: float = 0.0) -> Site:
    """A data directory, or the default one, with the settings in force."""
    flag = None if data_dir is None else os.fspath(data_dir)
    return Site(load_config({"data_dir": flag}), lock_wait=lock_wait)
