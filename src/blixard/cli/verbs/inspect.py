"""`cluster inspect`: what is inside a file, at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.cli.verbs.file_source import FILE, INPUT, READING, one_source
from blixard.errors import UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.document.inspect_report import InspectReport, VmRow

_SHOWN = 50
_MASKED, _CLEAR = "masked", "clear"


@command(
    examples=[
        "blixard cluster inspect cluster-backup.json.gz",
        "blixard cluster inspect cluster-backup.json.gz --json",
        "blixard cluster inspect --secrets cluster.json",
    ],
    exits=READING,
)
@FILE
@INPUT
@click.option("--full", is_flag=True, help="Read all of it, for exact deduplication and compression")
@click.option(
    "--secrets",
    is_flag=False,
    flag_value=_MASKED,
    metavar="[=clear]",
    help="List what looks like a secret, masked; `--secrets=clear` as it is",
)
def inspect(session: Session, file: str | None, source: str | None, *, full: bool, secrets: str | None) -> None:
    """Show what is inside an export file.

    Quick however large the file is: it reads the head and the index, not the disks.
    Digests are checked by `verify`. Needs no cluster and changes nothing.
    """
    from blixard.ops.document.inspect import InspectOptions, inspect_file

    if secrets not in (None, _MASKED, _CLEAR):
        if file is not None:
            raise UsageError(f"`--secrets {secrets}`: it can be `--secrets` or `--secrets=clear`")
        file, secrets = secrets, _MASKED  # `--secrets FILE`: what stands behind it is the file
    options = InspectOptions(
        source=one_source(file, source),
        full=full,
        secrets=secrets is not None,
        clear=secrets == _CLEAR,
        redact_paths=session.config.get("redact.paths", tuple),
        limits=session.config.limits,
    )
    report = inspect_file(options)
    session.out.answer(report, "\n".join(_page(report)))
    if report.edited:
        session.out.warn(f"edited since it was written: {', '.join(report.edited)}; `verify` checks all of it")


def _page(report: InspectReport) -> Iterator[str]:
    yield human.pairs(_rows(report))
    if report.secrets is not None:
        yield ""
        yield from _secrets(report)
    elif report.vms:
        yield ""
        yield from _vms(report)


def _rows(report: InspectReport) -> Iterator[tuple[str, str]]:
    size = f", {human.size(report.sizes.file_bytes)}" if report.sizes.file_bytes is not None else ""
    yield "file", f"{report.place} ({'gzip' if report.compressed else 'plain JSON'}{size})"
    identity = f" ({report.cluster_id})" if report.cluster_id else ""
    revision = f", revision {report.revision}" if report.revision is not None else ""
    yield "cluster", f"{report.cluster_name}{identity}{revision}"
    by = report.exporter or "an unknown exporter"
    yield "written", f"{human.moment(report.exported_at)} by {by} on node {report.exported_by_node}"
    yield from _origin(report)
    yield "document", report.document if report.sealed else f"{report.document} (computed: it has no `integrity`)"
    yield "nodes", str(report.nodes)
    yield "vms", str(len(report.vms))
    yield from _disks(report)
    if report.telemetry is None:
        yield "telemetry", human.size(report.telemetry_stored_bytes)
    elif report.telemetry:
        yield "telemetry", ", ".join(f"{count} {key}" for key, count in report.telemetry.items())
    if report.unknown:
        yield "unknown", human.some(report.unknown, 5, total=report.unknown_count)


def _origin(report: InspectReport) -> Iterator[tuple[str, str]]:
    """Where its state came from, and what was left out or taken away on the way."""
    if report.provenance:
        came = report.provenance
        yield "imported", f"from cluster {came.get('cluster_name')} of {came.get('exported_at')}, {came.get('mode')}"
    if report.scope:
        words = [f"{key} {', '.join(map(str, value))}" for key, value in report.scope.items() if value]
        yield "scope", "; ".join(words)
    if report.template is not None:
        names = [f"{name} ({value.get('type', '?')})" for name, value in report.template.items()]
        yield "template", ", ".join(names) or "no variables"
    if report.redacted:
        yield "redacted", human.counts(len(report.redacted), "value")


def _disks(report: InspectReport) -> Iterator[tuple[str, str]]:
    if not report.images_included:
        yield "disks", "not in the file"
        return
    sizes = report.sizes
    good = sum(image.failed is None for image in report.images)
    yield (
        "disks",
        f"{good}, {human.size(sizes.virtual_bytes)} as guests see them, {human.size(sizes.data_bytes)} of data",
    )
    if report.ratio:
        yield "ratio", f"{report.ratio:.2f} bytes of data in a byte of the file{_parts_of_ratio(report)}"
    if good < len(report.images):
        yield "failed", f"{human.counts(len(report.images) - good, 'disk')} that the export could not read"


def _parts_of_ratio(report: InspectReport) -> str:
    if report.dedup_ratio is None or report.compression_ratio is None:
        return ""
    return f" (deduplication {report.dedup_ratio:.2f}, compression {report.compression_ratio:.2f})"


def _vms(report: InspectReport) -> Iterator[str]:
    headings = ("vm", "disks", "virtual", "data", "in file", "consistency", "remarks")
    yield human.table(headings, map(_vm_row, report.vms[:_SHOWN]), right=(1, 2, 3, 4))
    yield from human.rest(len(report.vms), _SHOWN)


def _vm_row(vm: VmRow) -> tuple[str, ...]:
    missing = vm.disks and not vm.contents and not vm.failed
    remarks = [*(f"failed: {each}" for each in vm.failed), *(["no content in the file"] if missing else [])]
    return (
        vm.name,
        str(vm.disks),
        human.size(vm.virtual_bytes),
        human.size(vm.data_bytes),
        human.size(vm.stored_bytes),
        vm.consistency.value if vm.consistency else "-",
        "; ".join(remarks),
    )


def _secrets(report: InspectReport) -> Iterator[str]:
    found = report.secrets or ()
    if not found:
        yield "nothing looks like a secret; disks were not looked into"
        return
    rows = [(each.pointer, each.rule, _short(each.shown)) for each in found[:_SHOWN]]
    yield human.table(("place", "rule", "value"), rows)
    yield from human.rest(len(found), _SHOWN)


def _short(value: object) -> str:
    return human.short(value if isinstance(value, str) else "-" if value is None else repr(value))
