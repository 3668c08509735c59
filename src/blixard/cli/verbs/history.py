"""`cluster history`: what was done to a cluster, or with a file, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.store.history import Recorded


@command(
    examples=["blixard cluster history", "blixard cluster history --file cluster-backup.json.gz"],
    exits=[ExitCode.NOT_FOUND, ExitCode.MALFORMED],
)
@click.option("--file", metavar="FILE", help="Only what was done with this export")
@click.option("--document", metavar="DIGEST", help="Only what was done with the document of this digest")
@click.option("--verb", metavar="VERB", help="Only this command, `cluster export`")
@click.option("--failed", is_flag=True, help="Only what did not end with 0")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0 is all"
)
def history(
    session: Session, file: str | None, document: str | None, verb: str | None, *, failed: bool, limit: int
) -> ExitCode | None:
    """Show what was done to a cluster, by whom, with what result, newest first."""
    from blixard.ops.cluster import history as op

    if file and document:
        raise UsageError("`--file` and `--document` both name a document", hint="give one of them")
    if file is not None:
        document = op.document_of(file)
    options = op.HistoryOptions(limit=limit or None, document=document, verb=verb, failed=failed)
    with session.open_cluster() as opened:
        found = op.history(opened, options)
    if session.out.json:
        session.out.document(
            {"document": document, "entries": [{"id": each.id, "entry": each.entry} for each in found]}
        )
    elif found:
        session.out.line(
            human.table(("id", "time", "who", "what", "exit", "about"), [_row(each) for each in found], right=(0, 4))
        )
    else:
        session.out.note("nothing in the history fits")
    return None if found or not document else ExitCode.NOT_FOUND


def _row(recorded: Recorded) -> tuple[str, ...]:
    entry = recorded.entry
    who = f"{entry.sudo_user} (sudo)" if entry.sudo_user else entry.os_user
    about = entry.error or " ".join(filter(None, (entry.place, entry.document[:16] if entry.document else None)))
    about = about or " ".join(str(value) for value in entry.options.values() if isinstance(value, str))
    return (str(recorded.id), human.moment(entry.time), who, entry.verb, str(entry.exit_code), about)
