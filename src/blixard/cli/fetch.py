"""`cluster fetch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from blixard.cli import human
from blixard.cli.fetching import fetching_options, senders, tickets_of
from blixard.cli.options import command
from blixard.errors import ExitCode

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=["blixard cluster fetch -i - -o cluster-full.json.gz < ticket.txt"],
    exits=[
        ExitCode.REFUSED,
        ExitCode.LOCKED,
        ExitCode.TRANSFER,
        ExitCode.BAD_TICKET,
        ExitCode.PEER_UNREACHABLE,
        ExitCode.PEER_MISBEHAVED,
    ],
)
@click.option("-i", "--input", "sources", multiple=True, metavar="TICKET", help="A ticket, or `-`  [BLIXARD_TICKET]")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to; `-` is standard output")
@click.option("--no-compress", is_flag=True, help="Plain JSON instead of gzip")
@click.option("--no-clobber", is_flag=True, help="Refuse to replace a file")
@fetching_options
def fetch(session: Session, sources: tuple[str, ...], output: str, **given: Any) -> None:
    """Fetch an export by ticket into a file, without a cluster.

    The file has the same document digest as the sender's. `import --p2p` fetches and
    imports in one go.
    """
    from blixard.cli import wiring
    from blixard.ops.fetch import VERB, FetchFileOptions
    from blixard.ops.fetch import fetch as fetch_file

    opened = senders(session, tickets_of(sources, given["ticket_file"]), given, VERB)
    options = FetchFileOptions(
        output=output,
        compress=not given["no_compress"],
        clobber=not given["no_clobber"],
        limits=session.config.limits,
    )
    with wiring.progress(session) as progress, opened() as source:
        progress.expect(sum(source.hint.data_bytes.values()))
        progress.begin("fetching", None)
        report = fetch_file(source, options, progress=progress, journal=wiring.site(session).journal)
        progress.end()
    for warning in report.warnings:
        session.out.warn(warning)
    if session.out.json:
        session.out.document(report)
        return
    rate = f", {human.size(int(report.received_bytes / report.seconds))}/s" if report.seconds else ""
    session.out.note(
        f"fetched `{report.place}`: {human.size(report.received_bytes)} in {report.seconds:.1f} s{rate}, "
        f"document {report.document[:16]}"
    )
