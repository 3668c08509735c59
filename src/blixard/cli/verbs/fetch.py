"""`cluster fetch`: an export from its senders into a file, by ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.verbs.fetching import FETCHING, Fetching, fetching_options, senders, tickets_of
from blixard.cli.verbs.file_source import NO_COMPRESS
from blixard.cli.verbs.network import NetworkFlags
from blixard.errors import ExitCode

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=["blixard cluster fetch -i - -o cluster-full.json.gz < ticket.txt"],
    exits=[*FETCHING, ExitCode.REFUSED, ExitCode.UNSUPPORTED_VERSION, ExitCode.LIMIT],
)
@click.argument("ticket", required=False)
@click.option("-i", "--input", "sources", multiple=True, metavar="TICKET", help="The same as TICKET; may be repeated")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to; `-` is standard output")
@NO_COMPRESS
@click.option("--no-clobber", is_flag=True, help="Refuse to replace a file")
@fetching_options
def fetch(
    session: Session,
    ticket: str | None,
    sources: tuple[str, ...],
    *,
    output: str,
    no_compress: bool,
    no_clobber: bool,
    fetching: Fetching,
    network: NetworkFlags,
) -> None:
    """Fetch an export by ticket into a file, without a cluster.

    TICKET is a ticket, or `-` for standard input; `--ticket-file` and BLIXARD_TICKET
    keep it out of sight. Several of the same export are fetched from together.
    The file has the same document digest as the sender's. `import --p2p` fetches and
    imports in one go.
    """
    from blixard.cli.screen.fetch_screen import Followed, Warnings, received
    from blixard.ops.importing.arrival import announce
    from blixard.ops.peers.fetch import VERB, FetchFileOptions
    from blixard.ops.peers.fetch import fetch as fetch_file

    named = (*([ticket] if ticket else []), *sources)
    opened = senders(session, tickets_of(named, fetching.ticket_files), fetching, network, VERB, looking=False)
    options = FetchFileOptions(
        output=output,
        compress=not no_compress,
        clobber=not no_clobber,
        limits=session.config.limits,
    )
    warnings = Warnings(session.out)
    followed = Followed(session.out, opened, warnings)
    with session.progress() as progress, followed() as source:
        announce(progress, source.foreknown, lambda _image: True)
        report = fetch_file(source, options, progress=progress, home=session.site.home)
        progress.end()
    warnings.tell(report.warnings)
    if session.out.json:
        session.out.document(report)
        return
    statistics = followed.statistics
    told = "" if statistics is None else f": {received(statistics, report.seconds)}"
    session.out.note(f"fetched `{report.place}`{told}, document {report.document[:16]}")
