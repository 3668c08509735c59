"""`cluster fmt`: put a hand-edited file in order and seal it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.verbs.file_source import CHECKING, FILE, INPUT, THREADS, one_source
from blixard.errors import ExitCode

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.document.fmt import FmtReport


@command(
    examples=["blixard cluster fmt cluster.json", "blixard cluster fmt --check cluster.json"],
    exits=[*CHECKING, ExitCode.REFUSED, ExitCode.CHANGES_PENDING],
)
@FILE
@INPUT
@click.option("--check", is_flag=True, help="Change nothing; 5 when the file is not in form")
@click.option("-o", "--output", metavar="FILE", help="Write here instead of replacing FILE")
@THREADS
def fmt(
    session: Session, file: str | None, source: str | None, *, check: bool, output: str | None, threads: int | None
) -> ExitCode | None:
    """Put a hand-edited export file in order and seal it again.

    Keys come in our order, digests and index are made anew, records pass through as
    they are. A damaged record is not sealed. A template stays one: no digests.
    """
    from blixard.ops.document.fmt import FmtOptions, format_file

    options = FmtOptions(
        source=one_source(file, source),
        output=output,
        check=check,
        threads=session.site.threads(threads),
        limits=session.config.limits,
    )
    with session.progress() as progress:
        report = format_file(options, progress=progress, home=session.site.home)
    if session.out.json:
        session.out.document(report)
    else:
        _tell(session, report, check=check)
    return report.exit_code


def _tell(session: Session, report: FmtReport, *, check: bool) -> None:
    if check and report.why and not session.out.quiet:
        session.out.line(f"{report.place}: {report.why}")
    elif report.written is None:
        session.out.note(f"`{report.place}` is in form")
    else:
        seal = f", document {report.document[:16]}" if report.document else ""
        session.out.note(f"`{report.written}` is in form now: {report.why or 'nothing had to change'}{seal}")
