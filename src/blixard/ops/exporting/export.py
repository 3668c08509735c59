"""Export a cluster: its state at one revision and, on request, its disks and telemetry, as one document.

The order is the order of the file: state, telemetry, images, integrity. A disk that cannot be read costs only itself;
any other failure leaves no file, and the one that was there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, structs, to_builtins

from blixard import files
from blixard.errors import ExitCode, RefusedError, StorageError, UsageError
from blixard.format.writer import ExportWriter
from blixard.limits import GZIP_LEVEL
from blixard.model.structs import (
    ClusterSnapshot,
    Consistency,
    ExportHead,
    ExportMetadata,
    JsonObject,
    Provenance,
)
from blixard.ops.document.verify import verify_written
from blixard.ops.exporting.images import Encoding, ImageReport, check_consistency, write_images
from blixard.ops.exporting.selection import Omitted, Selection, select, used_bytes
from blixard.place import absolute_name, is_standard, open_output
from blixard.plan.scope import WHOLE, Scope
from blixard.plan.templates import template_of
from blixard.plan.values import kept_of
from blixard.ports import Output, Progress, TelemetrySource
from blixard.redact.document import Element, Masked, masked
from blixard.site.config import TELEMETRY_HOURS
from blixard.site.open_cluster import OpenCluster
from blixard.site.uninterrupted import publish
from blixard.version import __version__

VERB = "cluster export"
_BEST_RATIO = 20
"""No real set of disks shrinks more than this: with less room, an export cannot succeed and need not begin."""


class ExportOptions(Struct, frozen=True, kw_only=True):
    """One export's options."""

    output: str
    """A path, or `-` for standard output."""
    compress: bool = True
    gzip_level: int = GZIP_LEVEL
    images: bool = False
    telemetry: bool = False
    telemetry_since: datetime | None = None
    scope: Scope = WHOLE
    redact: bool = False
    redact_paths: tuple[str, ...] = ()
    secrets_out: Path | None = None
    images_unredacted: bool = False
    template: bool = False
    require_consistency: Consistency | None = None
    all_or_nothing: bool = False
    verify: bool = False
    exported_at: datetime | None = None
    threads: int = 2

    def asked(self) -> JsonObject:
        """For the history: what was asked for."""
        made: JsonObject = {"output": self.output, "images": self.images, "telemetry": self.telemetry}
        made.update((name, True) for name in ("redact", "template", "verify", "all_or_nothing") if getattr(self, name))
        return made


class ExportReport(Struct, frozen=True, kw_only=True):
    """What an export did."""

    cluster: str
    cluster_id: str
    revision: int
    place: str
    document: str
    compressed: bool
    size_bytes: int
    seconds: float
    nodes: int
    vms: int
    images: tuple[ImageReport, ...] = ()
    omitted: tuple[Omitted, ...] = ()
    redacted: tuple[str, ...] = ()
    verified: bool = False
    exit_code: ExitCode = ExitCode.DONE


def export_cluster(
    cluster: OpenCluster, options: ExportOptions, *, progress: Progress, telemetry: TelemetrySource | None = None
) -> ExportReport:
    """Write the document to `options.output`.

    Args:
        cluster: what to export.
        options: how.
        progress: told about every disk.
        telemetry: asked when `options.telemetry` is set.

    Raises:
        UsageError: options that contradict each other.
        RefusedError: a disk is less consistent than required, or secrets would leave with the images.
        Locked: another export or an import is at work.
        StorageError: no file was published, the old one is intact.
    """
    with cluster.recording(VERB, options.asked()):
        _check(options)
        with cluster.locks.exporting(VERB, cluster.policy.lock_wait):
            return _Export(cluster, options, progress, telemetry).run()


def _check(options: ExportOptions) -> None:
    if options.redact and options.images and not options.images_unredacted:
        raise RefusedError(
            "disks cannot be redacted: secrets inside them would leave with the file",
            hint="add `--images-unredacted` if that is meant, or leave out `--include-images`",
        )
    if options.template and (options.images or options.telemetry):
        raise UsageError("a template holds neither images nor telemetry", hint="leave out `--include-...`")
    if options.secrets_out and not options.redact:
        raise UsageError("`--secrets-out` keeps what `--redact` masks", hint="add `--redact`")
    if options.verify and is_standard(options.output):
        raise UsageError("`--verify` reads the file back, and standard output cannot be", hint="use `-o FILE`")


class _Export:
    """One run: what its steps need to know."""

    def __init__(
        self, cluster: OpenCluster, options: ExportOptions, progress: Progress, telemetry: TelemetrySource | None
    ) -> None:
        self._cluster = cluster
        self._options = options
        self._progress = progress
        self._telemetry = telemetry
        self._images: list[ImageReport] = []
        self._started = time.monotonic()

    def run(self) -> ExportReport:
        options, cluster = self._options, self._cluster
        cluster.home.journal.sweep()
        snapshot = cluster.snapshot()
        for selector in options.scope.idle(((vm.name, vm) for vm in snapshot.vms.values()), snapshot.nodes.values()):
            self._progress.warn(f"`--only {selector}` names nothing in cluster `{snapshot.name}`")
        selection = select(snapshot, cluster.hypervisor, options.scope, images=options.images)
        written = self._document(snapshot, selection)
        with open_output(options.output, home=cluster.home) as output, self._open_secrets() as secrets:
            self._check_space(output, selection)
            document, size = self._write(output, selection, written)
            self._publish(output, secrets, written)
        report = ExportReport(
            cluster=snapshot.name,
            cluster_id=snapshot.id,
            revision=snapshot.revision,
            place=options.output,
            document=document,
            compressed=options.compress,
            size_bytes=size,
            seconds=time.monotonic() - self._started,
            nodes=len(written.head.nodes),
            vms=len(selection.vms),
            images=tuple(self._images),
            omitted=selection.omitted,
            redacted=written.head.metadata.redacted,
            verified=options.verify,
            exit_code=_exit_code(self._images),
        )
        self._record(report)
        return report

    def _open_secrets(self) -> AbstractContextManager[Output | None]:
        """Where the secrets go that the document masks; opened first, for a document without them is half of it."""
        path = self._options.secrets_out
        if path is None:
            return nullcontext()
        return open_output(str(path), home=self._cluster.home, apart_from=[self._options.output])

    def _publish(self, output: Output, secrets: Output | None, written: Masked) -> None:
        """Give the document its name, and the secrets that it masks theirs: neither without room for both."""
        if secrets is not None:
            secrets.file.write(written.secrets_file())
            secrets.file.flush()
        publish(output, verify_written if self._options.verify else None)
        if secrets is not None:
            secrets.commit()

    def _document(self, snapshot: ClusterSnapshot, selection: Selection) -> Masked:
        """Everything but the images, as it will stand in the file."""
        head, vms = self._head(snapshot, selection), selection.vms
        if self._options.template:
            head, vms = template_of(head, vms)
            head = structs.replace(head, exported_at=self._options.exported_at or head.exported_at)
        if self._options.redact:
            return masked(head, vms, self._elements(), self._options.redact_paths)
        return Masked(head, vms, self._elements())

    def _elements(self) -> Iterator[Element]:
        """Telemetry, when it was asked for."""
        if self._telemetry is None or not self._options.telemetry:
            return
        until = self._cluster.clock.now()
        since = self._options.telemetry_since or until - timedelta(hours=TELEMETRY_HOURS)
        yield from (("resourceMetrics", each) for each in self._telemetry.resource_metrics(since, until))
        yield from (("resourceLogs", each) for each in self._telemetry.resource_logs(since, until))

    def _head(self, snapshot: ClusterSnapshot, selection: Selection) -> ExportHead:
        options = self._options
        # a part of a cluster still says which nodes its VMs are placed on, and which one wrote it
        shown = {snapshot.self_node, *(vm.node_id for vm in selection.vms)}
        nodes = tuple(
            node
            for number, node in sorted(snapshot.nodes.items())
            if number in shown or options.scope.selects_node(node)
        )
        kept = kept_of(snapshot.provenance)
        return ExportHead(
            version="1.0",
            exported_at=options.exported_at or self._cluster.clock.now(),
            cluster_name=snapshot.name,
            exported_by_node=snapshot.self_node,
            nodes=nodes,
            raft_state=self._cluster.store.raft_state(),
            metadata=ExportMetadata(
                node_count=len(nodes),
                vm_count=len(selection.vms),
                telemetry_included=options.telemetry,
                images_included=options.images,
                exporter=f"blixard {__version__}",
                cluster_id=snapshot.id,
                revision=snapshot.revision,
                provenance=_without_kept(snapshot.provenance),
                scope=options.scope.to_object(),
                unknown=kept.metadata or UNSET,
            ),
            unknown=kept.document,
        )

    def _check_space(self, output: Output, selection: Selection) -> None:
        """Refuse at once what cannot succeed; what may or may not fit is found out by writing, and leaves nothing."""
        folder = output.folder
        if folder is None or not selection.images:
            return
        used, free = used_bytes(selection), files.free_bytes(folder)
        if used > free * _BEST_RATIO:
            raise StorageError(
                f"not enough space in `{folder}`: the disks hold {used} bytes, {free} are free",
                hint="write to another file system, or stream with `-o -`",
            )

    def _write(self, output: Output, selection: Selection, document: Masked) -> tuple[str, int]:
        """Write all of it; return the document's digest and its size as stored."""
        options = self._options
        # where the export goes there is room; the system's temporary folder may be memory
        folder = output.folder or self._cluster.directory.path
        marks = not options.template
        with ExportWriter(
            output.file,
            compress=options.compress,
            gzip_level=options.gzip_level,
            layout=marks,
            integrity=marks,
            limits=self._cluster.policy.limits,
            spill_to=str(folder),
        ) as writer:
            writer.write_state(document.head, document.vms)
            if options.telemetry:
                writer.begin_telemetry()
                for key, element in document.telemetry:
                    writer.telemetry(key, element)
            if options.images:
                writer.begin_images()
                self._progress.expect(sum(image.head.size_bytes for image in selection.images))
                encoding = Encoding(
                    compress=options.compress,
                    gzip_level=options.gzip_level,
                    threads=options.threads,
                    folder=folder,
                    spill_bytes=self._cluster.policy.limits.spill_bytes,
                )
                for report in write_images(
                    writer, selection.images, self._cluster.hypervisor, encoding, self._progress
                ):
                    self._judge(report)
            return writer.finish().document, writer.stored_bytes

    def _judge(self, report: ImageReport) -> None:
        """Take an image into the report, or end the export when it is not as good as was asked for."""
        check_consistency(report, self._options.require_consistency)
        if report.failed is not None and self._options.all_or_nothing:
            raise StorageError(
                f"disk `{report.vm}/{report.disk}` cannot be exported: {report.failed}",
                hint="repair it, or leave out `--all-or-nothing` and the others are exported",
            )
        self._images.append(report)

    def _record(self, report: ExportReport) -> None:
        cluster, options = self._cluster, self._options
        more: dict[str, Any] = {
            "scope": options.scope.to_object(),
            "document": report.document,
            "place": absolute_name(options.output),
            "images": options.images and options.scope.to_object() is None and report.exit_code is ExitCode.DONE,
            "vms": report.vms,
            "size_bytes": report.size_bytes,
            "seconds": round(report.seconds, 3),
            "revision": report.revision,
        }
        try:
            cluster.history.append(cluster.entry(VERB, options.asked(), report.exit_code, **more))
        except StorageError as error:
            # the file is published and good: a backup job must not be told otherwise
            self._progress.warn(f"the export is not in the history: {error.message}")
        cluster.log(VERB, report.exit_code)


def _without_kept(provenance: Provenance | None) -> JsonObject | None:
    """Where the state came from, without what is kept of it: that stands in its own place."""
    if provenance is None:
        return None
    told: JsonObject = to_builtins(structs.replace(provenance, kept=UNSET))
    return told


def _exit_code(images: list[ImageReport]) -> ExitCode:
    for image in images:
        if image.failed is not None or image.consistency is Consistency.UNKNOWN:
            return ExitCode.PARTIAL
    return ExitCode.DONE
