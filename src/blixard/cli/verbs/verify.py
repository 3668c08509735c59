"""`cluster verify`: is this file what it was, and if not, what of it is still good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.cli.verbs.file_source import CHECKING, FILE, INPUT, THREADS, one_source
from blixard.errors import DigestMismatch, ExitCode, MalformedExport

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.document.verify import VerifyReport, VmVerdict

_SHOWN = 30


@command(
    examples=["blixard cluster verify cluster-backup.json.gz", "blixard cluster verify --allow-edited edited.json"],
    exits=[*CHECKING, ExitCode.PARTIAL],
)
@FILE
@INPUT
@click.option("--allow-edited", is_flag=True, help="Edits of a plain file are a warning; damaged content never is")
@THREADS
def verify(
    session: Session, file: str | None, source: str | None, *, allow_edited: bool, threads: int | None
) -> ExitCode:
    """Check an export file: structure, every digest, every record decoded.

    Needs no cluster and changes nothing. When something does not match, it says which
    VMs are intact and prints the command that restores just those. Ends with 3 when
    the file has no digests to check against, or lacks a disk that the export could
    not read.
    """
    from blixard.ops.document.verify import VerifyOptions, verify_file

    options = VerifyOptions(
        source=one_source(file, source),
        allow_edited=allow_edited,
        threads=session.site.threads(threads),
        limits=session.config.limits,
    )
    with session.progress() as progress:
        report = verify_file(options, progress=progress)
    if session.out.json:
        session.out.document(report)
    elif report.exit_code is not ExitCode.DONE or report.edited or not session.out.quiet:
        session.out.line("\n".join(_page(report)))
    _tell(session, report)
    return report.exit_code


def _page(report: VerifyReport) -> Iterator[str]:
    yield human.pairs(_rows(report))
    damaged = [image for image in report.images if image.damaged]
    if damaged:
        rows = [(image.vm, image.disk, image.damaged or "") for image in damaged[:_SHOWN]]
        yield ""
        yield human.table(("vm", "disk", "damage"), rows)
        yield from human.rest(len(damaged), _SHOWN)
    if report.restore:
        yield ""
        yield "To bring back what is intact:"
        yield from (f"  {human.visible(line)}" for line in report.restore[:_SHOWN])
        yield from human.rest(len(report.restore), _SHOWN)


def _rows(report: VerifyReport) -> Iterator[tuple[str, str]]:
    yield "result", _result(report)
    if report.problem:
        yield "ends", report.problem
    if report.document:
        yield "document", report.document
    if report.edited:
        yield "edited", ", ".join(report.edited)
    yield "checked", f"{human.counts(report.records, 'record')}, {human.size(report.data_bytes)} of disk content"
    if report.vms_intact:
        yield "intact", _some(report.vms_intact)
    if report.vms_damaged:
        yield "damaged", _some([_with_contents(each) for each in report.vms_damaged])
    if report.vms_incomplete:
        yield "incomplete", _some([_with_contents(each) for each in report.vms_incomplete])


def _result(report: VerifyReport) -> str:
    if report.problem:
        return "cannot be read to its end"
    if any(image.damaged for image in report.images):
        return "damaged"
    if report.edited:
        return "edited"
    if not report.sealed:
        return "whole, but it has no digests to prove it"
    return "intact" if report.intact else "intact, but not everything is in it"


def _tell(session: Session, report: VerifyReport) -> None:
    """Say on stderr, in one line that a script can log, what is wrong."""
    hint = _restore_hint(report, printed=not session.out.json)
    code = report.exit_code
    if report.problem:
        error = MalformedExport if code is ExitCode.MALFORMED else DigestMismatch
        session.out.error(error.id, report.problem, hint, code)
    elif code is ExitCode.MALFORMED:
        other = next(image.damaged for image in report.images if image.malformed)
        session.out.error(MalformedExport.id, other or "malformed", hint, code)
    elif code is ExitCode.DIGEST_MISMATCH:
        session.out.error(DigestMismatch.id, _mismatch(report), hint or _edited_hint(report), code)
    elif not report.sealed:
        session.out.warn(f"`{report.place}` has no `integrity`: nothing proves that it is what was written")
    elif report.edited:
        session.out.warn(f"`{report.place}` was edited: {', '.join(report.edited)}")
    if report.vms_incomplete:
        names = ", ".join(_with_contents(each) for each in report.vms_incomplete[:_SHOWN])
        session.out.warn(f"not in the file, because the export could not read it: {names}")


def _restore_hint(report: VerifyReport, *, printed: bool) -> str | None:
    """The hint at the printed commands. It says `on standard output`: which of the two is read first is not known."""
    if not report.restore or not printed:
        return None
    one = len(report.restore) == 1
    return (
        f"the {'command' if one else 'commands'} on standard output {'brings' if one else 'bring'} back what is intact"
    )


def _mismatch(report: VerifyReport) -> str:
    damaged = sum(1 for image in report.images if image.damaged)
    if damaged:
        return f"`{report.place}` is damaged: {human.counts(damaged, 'disk')} of {len(report.images)}"
    return f"`{report.place}` was edited: {', '.join(report.edited)}"


def _edited_hint(report: VerifyReport) -> str | None:
    if any(image.damaged for image in report.images):
        return None
    if report.compressed:
        return "if the edits are meant: `import --accept-edited` takes them"
    return "if the edits are meant: `blixard cluster fmt` seals them, `--allow-edited` lets them pass"


def _with_contents(verdict: VmVerdict) -> str:
    return f"{verdict.vm} ({', '.join(verdict.contents)})"


def _some(names: Sequence[str]) -> str:
    return f"{len(names)}: {human.some(names, _SHOWN)}"
