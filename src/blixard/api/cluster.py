"""A cluster of this machine, as an object: what the commands do, as methods with typed answers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from blixard.api.arguments import ExportArguments, ImportArguments, StrPath, export_options, import_request
from blixard.api.documents import open_site
from blixard.closing import Closing
from blixard.model.structs import DEFAULT_MEMORY, DEFAULT_VCPUS
from blixard.site.silence import SILENT
from blixard.site.site import Site, named_cluster

if TYPE_CHECKING:
    from blixard.model.changes import UndoSummary
    from blixard.model.structs import ClusterSnapshot, Vm
    from blixard.ops.cluster.status import Status
    from blixard.ops.exporting.export import ExportReport
    from blixard.ops.importing.request import ImportReport
    from blixard.ops.keeping.undo import UndoReport
    from blixard.site.open_cluster import OpenCluster
    from blixard.store.history import HistoryEntry


def open_cluster(name: str | None = None, data_dir: StrPath | None = None, *, lock_wait: float = 0.0) -> Cluster:
    """Open a cluster of this machine; close it, or use it in a `with`.

    Args:
        name: else BLIXARD_CLUSTER, else the current cluster, else the only one.
        data_dir: else as the command line finds it.
        lock_wait: seconds to wait for a lock that somebody holds.

    Raises:
        NotFound: there is no such cluster (a StateError); the message names the data directory.
        StorageError: it cannot be read.
    """
    site = open_site(data_dir, lock_wait)
    return Cluster(site, site.open_named(named_cluster(name)))


def create_cluster(name: str, data_dir: StrPath | None = None, *, node_id: int = 1) -> Cluster:
    """Make an empty cluster whose only node is this machine, and open it.

    Raises:
        Conflict: there is one of that name (a StateError).
        UsageError: that is no name.
        StorageError: nothing was made.
    """
    from blixard.ops.cluster.clusters import init_cluster

    site = open_site(data_dir)
    init_cluster(site.home, name, node_id=node_id, reopen=site.open)
    return Cluster(site, site.open_named(name))


class Cluster(Closing):
    """An open cluster; used by the thread that opened it. Nothing is locked between calls."""

    def __init__(self, site: Site, opened: OpenCluster) -> None:
        self._site = site
        self._opened = opened

    def close(self) -> None:
        """Let go of the cluster's files."""
        self._opened.close()

    @property
    def name(self) -> str:
        """The name of the cluster."""
        return self._opened.name

    @property
    def data_dir(self) -> Path:
        """The data directory that it lies in."""
        return self._site.home.root

    def snapshot(self) -> ClusterSnapshot:
        """The whole state at one revision."""
        return self._opened.snapshot()

    def vms(self) -> tuple[Vm, ...]:
        """Its VMs, by name. Memory is in MB, sizes in bytes."""
        return tuple(vm for _, vm in sorted(self.snapshot().vms.items()))

    def status(self) -> Status:
        """What it is made of, and when it was last exported and imported. Sizes in bytes."""
        from blixard.ops.cluster.status import cluster_status

        return cluster_status(self._opened)

    def history(self, limit: int | None = None) -> tuple[HistoryEntry, ...]:
        """What was done to it, newest first, failures included; at most `limit` entries."""
        from blixard.ops.cluster.history import HistoryOptions, history

        return tuple(each.entry for each in history(self._opened, HistoryOptions(limit=limit)))

    def create_vm(
        self,
        name: str,
        *,
        vcpus: int = DEFAULT_VCPUS,
        memory: int = DEFAULT_MEMORY,
        disks: Mapping[str, StrPath] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Vm:
        """Make a VM. Disks are copied in, raw or qcow2 by their first bytes.

        Args:
            name: of the VM.
            vcpus: virtual processors.
            memory: MB.
            disks: name of each disk to the path of its image.
            labels: of the VM.

        Raises:
            InvalidField: naming the field (a UsageError).
            Conflict: there is a VM of that name (a StateError).
            StorageError: a disk cannot be read or copied; nothing is left behind.
            MalformedExport: a qcow2 image is refused (an ExportFileError).
        """
        from blixard.ops.vm.create import create_vm
        from blixard.ops.vm.specs import DiskSpec, VmSpec

        specs = tuple(DiskSpec(path=Path(path), name=disk) for disk, path in (disks or {}).items())
        spec = VmSpec(name=name, fields={"vcpus": vcpus, "memory": memory, "labels": dict(labels or {})}, disks=specs)
        return create_vm(self._opened, spec, SILENT).vm

    def delete_vm(self, name: str) -> None:
        """Delete a VM; `undo` brings it back, with its disks.

        Raises:
            NotFound: there is no such VM (a StateError).
        """
        from blixard.ops.vm.edit import delete_vm

        delete_vm(self._opened, name)

    def export(self, output: StrPath, **options: Unpack[ExportArguments]) -> ExportReport:
        """Write the cluster into one file, whole or not at all.

        Args:
            output: a path, or `"-"` for standard output.
            options: see `ExportArguments`.

        Returns:
            The report; its `exit_code` is `PARTIAL` when a disk could not be read, or was written to meanwhile.

        Raises:
            UsageError: options that contradict each other.
            RefusedError: a disk is less consistent than required, or secrets would leave with the images.
            Locked: another export or an import is at work (a StateError).
            StorageError: no file was published, the old one is intact.
        """
        from blixard.ops.exporting.export import export_cluster

        asked = export_options(self._site, output, options)
        source: AbstractContextManager[Any] = nullcontext()
        if asked.telemetry:
            source = self._site.telemetry_source(self._opened)
        with source as telemetry:
            return export_cluster(self._opened, asked, progress=options.get("progress", SILENT), telemetry=telemetry)

    def import_(self, source: StrPath, **options: Unpack[ImportArguments]) -> ImportReport:
        """Bring a file into this cluster: the module's `import_` with its name given."""
        return _import(self._site, source, self.name, options)

    def undo(self, entry: int | None = None, *, dry_run: bool = False, force: bool = False) -> UndoReport:
        """Take back an import or a deletion.

        Args:
            entry: id of the undo entry; None is the newest.
            dry_run: only plan.
            force: roll over what was changed since.

        Raises:
            NotFound: there is no such entry (a StateError).
            Conflict: something was changed since (a StateError).
            RefusedError: a disk that would be replaced is in use.
        """
        from blixard.ops.keeping.undo import undo

        return undo(self._opened, entry, dry_run=dry_run, force=force)

    def undo_entries(self) -> tuple[UndoSummary, ...]:
        """What can be taken back, newest first."""
        from blixard.ops.keeping.undo import entries

        return entries(self._opened)


def export(
    output: StrPath,
    cluster: str | None = None,
    data_dir: StrPath | None = None,
    **options: Unpack[ExportArguments],
) -> ExportReport:
    """Write a cluster into one file: `open_cluster(cluster, data_dir).export(output, ...)`."""
    with open_cluster(cluster, data_dir) as opened:
        return opened.export(output, **options)


def import_(
    source: StrPath,
    cluster: str | None = None,
    data_dir: StrPath | None = None,
    **options: Unpack[ImportArguments],
) -> ImportReport:
    """Bring a file into a cluster; all of it happens or nothing does.

    Args:
        source: a path, or `"-"` for standard input.
        cluster: made if it does not exist; else BLIXARD_CLUSTER, else the current one, else one named as the file says.
        data_dir: else as the command line finds it.
        options: see `ImportArguments`.

    Returns:
        The report, with the plan; its `exit_code` is `PARTIAL` when something was left out.

    Raises:
        ExportFileError: the file is not acceptable.
        RefusedError: it would replace a cluster that nobody named, or a disk in use.
        Conflict: names of the file are other VMs here (a StateError).
        StorageError: no space, or an I/O error; the cluster is as it was.
        UsageError: a rule, variable or pointer that fits nothing.
    """
    return _import(open_site(data_dir), source, cluster, options)


def _import(site: Site, source: StrPath, cluster: str | None, options: ImportArguments) -> ImportReport:
    from blixard.ops.importing.run import import_document
    from blixard.site.who import SystemClock

    return import_document(
        site.home,
        site.open,
        import_request(site, source, cluster, options),
        clock=SystemClock(),
        progress=options.get("progress", SILENT),
        consent=lambda _plan, _target: None,
    )
