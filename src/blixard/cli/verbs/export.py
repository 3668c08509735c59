"""`cluster export`: a cluster into one file, which `--p2p-share` then serves."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack

import click

from blixard.cli.options import command, int_in, one_of, only_with, values_of
from blixard.cli.screen import human
from blixard.cli.verbs.file_source import NO_COMPRESS, THREADS, no_file
from blixard.cli.verbs.network import NetworkFlags, network_of, refuse_qr
from blixard.cli.verbs.share import Sharing, options_of, serve, sharing_options
from blixard.errors import ExitCode, UsageError
from blixard.limits import GZIP_LEVEL, GZIP_LEVELS
from blixard.model.structs import Consistency
from blixard.site.config import TELEMETRY_HOURS
from blixard.site.quantities import parse_duration

if TYPE_CHECKING:
    from blixard.api.arguments import ExportArguments
    from blixard.cli.session import Session
    from blixard.ops.exporting.export import ExportOptions, ExportReport

_SHOWN = 5


def selection(function: Any) -> Any:
    """The options `--only` and `--except`, which export and import share."""
    metavar = "vm=GLOB|node=ID|label=K=V"
    function = click.option("--except", "except_", multiple=True, metavar=metavar, help="Leave these out")(function)
    return click.option("--only", multiple=True, metavar=metavar, help="Take only these; may be repeated")(function)


def _moment(text: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"`{option} {text}` is not a time", hint="write `2026-11-24T03:00:00Z`") from error
    if moment.tzinfo is None:
        raise UsageError(f"`{option} {text}` has no time zone", hint=f"write `{text}Z` for UTC")
    return moment.astimezone(UTC)


def _since(text: str) -> datetime:
    if text[:4].isdigit() and "-" in text:
        return _moment(text, "--telemetry-since")
    return datetime.now(UTC) - parse_duration(text)


def _exported_at(text: str) -> datetime:
    return _moment(text, "--exported-at")


@command(
    examples=[
        "blixard cluster export -o cluster-backup.json.gz -c my-cluster",
        "blixard cluster export -o cluster-full.json.gz -c my-cluster --include-images --verify",
        "blixard cluster export -o - -c my-cluster --no-compress",
        "blixard cluster export -o backup.json.gz -c my-cluster --include-images --p2p-share",
    ],
    exits=[
        ExitCode.PARTIAL,
        ExitCode.REFUSED,
        ExitCode.NOT_FOUND,
        ExitCode.LOCKED,
        ExitCode.CONFLICT,
        ExitCode.TRANSFER,
    ],
)
@click.argument("file", required=False)
@click.option("-o", "--output", metavar="FILE", help="Where to; `-` is standard output")
@click.option("--include-images", "images", is_flag=True, help="Also the content of disks and large files")
@click.option("--include-telemetry", "telemetry", is_flag=True, help="Also logs and metrics of this node")
@click.option(
    "--telemetry-since", type=_since, metavar="WHEN", help=f"A duration or RFC 3339 time  [{TELEMETRY_HOURS}h]"
)
@NO_COMPRESS
@click.option("--level", type=int_in(GZIP_LEVELS), metavar="0..3", help=f"Of gzip  [{GZIP_LEVEL}]")
@selection
@click.option("--template", is_flag=True, help="For git: no revision, no placement, no digests, a fixed time")
@click.option("--redact", is_flag=True, help="Mask what looks like a secret")
@click.option("--secrets-out", metavar="FILE", help="Keep what was masked, for `import --secrets-file`")
@click.option("--images-unredacted", is_flag=True, help="With `--redact`: disks leave as they are")
@click.option(
    "--require-consistency", type=click.Choice(values_of(Consistency)), help="Refuse a disk that is less than this"
)
@click.option("--all-or-nothing", is_flag=True, help="No file when a disk cannot be read")
@click.option("--verify", is_flag=True, help="Read the file back from the disk before it gets its name")
@click.option("--exported-at", type=_exported_at, metavar="TIME", help="RFC 3339  [SOURCE_DATE_EPOCH, else now]")
@THREADS
@click.option("--p2p-share", is_flag=True, help="Then serve the file to those who have its ticket")
@sharing_options
def export(
    session: Session,
    file: str | None,
    output: str | None,
    *,
    no_compress: bool,
    p2p_share: bool,
    sharing: Sharing,
    network: NetworkFlags,
    **asked: Unpack[ExportArguments],
) -> ExitCode | None:
    """Write a cluster into one file.

    The state, and on request its disks and telemetry, as one JSON document, gzip
    unless `--no-compress`, whatever the file is called. It is private (0600) and
    appears whole or not at all. A disk that cannot be read does not cost the others:
    the file says so, and the command ends with 3.
    """
    from blixard.api.arguments import export_options
    from blixard.ops.exporting.export import export_cluster
    from blixard.place import is_standard

    if p2p_share:
        refuse_qr(session, qr=sharing.qr)
    else:
        only_with("--p2p-share", sharing_options)
    chosen = network_of(session, network)
    asked["compress"] = not no_compress
    asked["exported_at"] = asked["exported_at"] or _source_date()
    name = one_of("names", file, "-o", output)
    if not name:
        raise no_file("`-o FILE`; `-o -` is standard output")
    options = export_options(session.site, name, asked)
    if p2p_share and is_standard(options.output):
        raise UsageError("`--p2p-share` serves the file, and standard output is none", hint="use `-o FILE`")
    if is_standard(options.output) and session.options.json:
        raise UsageError("`--json` and `-o -` both want standard output", hint="use `-o FILE`")
    with ExitStack() as stack:
        opened = stack.enter_context(session.open_cluster())
        # it reads the whole state to say who it is: not for nothing
        telemetry = stack.enter_context(session.site.telemetry_source(opened)) if options.telemetry else None
        _tell_before(session, options)
        with session.progress() as progress:
            report = export_cluster(opened, options, progress=progress, telemetry=telemetry)
        if not p2p_share:
            _tell(session, options, report)
            return report.exit_code
        if not session.out.json:
            _tell(session, options, report)
        what = options_of(session, options.output, sharing, report.document)
        try:
            served = serve(session, what, chosen, qr=sharing.qr, opened=opened)
        finally:
            # whatever became of the share: the file is written
            if session.out.json:
                session.out.event({"event": "export", "report": report})
        return served or report.exit_code


def _source_date() -> datetime | None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch if epoch.isascii() and epoch.isdecimal() else ""), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is `{human.short(epoch)}`, not a number of seconds up to the year 9999"
        ) from error


def _tell_before(session: Session, options: ExportOptions) -> None:
    name = options.output
    if options.compress and name.endswith(".json"):
        session.out.note(f"`{name}` will be gzip: `--no-compress` writes plain JSON")
    elif not options.compress and name.endswith(".gz"):
        session.out.note(f"`{name}` will be plain JSON, not gzip")


def _tell(session: Session, options: ExportOptions, report: ExportReport) -> None:
    from blixard.place import is_standard

    out = session.out
    for image in report.images:
        at = f"`{image.vm}/{image.disk}`"
        if image.failed is not None:
            out.warn(f"disk {at} is not in the file: {image.failed}")
        elif image.consistency == "unknown":
            out.warn(f"disk {at} was written to while it was read: its content may be torn")
        if image.snapshots:
            out.warn(
                f"{human.counts(image.snapshots, 'snapshot')} inside {at} not included: only the current content is"
            )
    _tell_omitted(session, options, report)
    if out.json:
        out.document(report)
        return
    if is_standard(options.output):
        return
    parts = [human.counts(report.vms, "VM")]
    if options.images:
        whole = [image for image in report.images if image.failed is None]
        data = sum(image.data_bytes for image in whole)
        parts.append(f"{human.counts(len(whole), 'disk')} ({human.size(data)} of data)")
    out.note(
        f"exported {', '.join(parts)} of cluster `{report.cluster}` at revision {report.revision} to `{report.place}`: "
        f"{human.size(report.size_bytes)} in {report.seconds:.1f} s{', verified' if report.verified else ''}, "
        f"document {report.document[:16]}"
    )
    if report.redacted:
        out.note(f"{human.counts(len(report.redacted), 'value')} masked")


def _tell_omitted(session: Session, options: ExportOptions, report: ExportReport) -> None:
    if not report.omitted or options.template:
        return
    if not options.images:
        disks = human.counts(len(report.omitted), "disk")
        session.out.warn(f"the content of {disks} is not in the file: `--include-images` takes it along")
        return
    for each in report.omitted[:_SHOWN]:
        session.out.warn(f"`{each.vm}/{each.name}` is not in the file: {each.why}")
    if len(report.omitted) > _SHOWN:
        session.out.warn(f"and {len(report.omitted) - _SHOWN} more")
