"""`peer id` and `ticket show`, and where a command line has its tickets from."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.cli.verbs.file_source import refuse_ticket
from blixard.errors import ExitCode, UsageError, is_ticket_shaped

if TYPE_CHECKING:
    from blixard.cli.session import Session

_TICKET_FILE_BYTES = 64 << 10


@command(examples=["blixard peer id"], exits=[ExitCode.LOCKED])
def peer_id(session: Session) -> None:
    """Print this node's id among peers, for `--allow-peer` on the other side."""
    from blixard.site.network import peer_id as identity_of

    identity = identity_of(session.site.home)
    session.out.answer({"peer_id": identity}, identity)


@command(
    examples=["blixard ticket show -i ticket.txt", "blixard ticket show - < ticket.txt"], exits=[ExitCode.BAD_TICKET]
)
@click.argument("ticket", required=False)
@click.option("-i", "--input", "file", metavar="FILE", help="A file with the ticket, `-`, or the ticket")
def show(session: Session, ticket: str | None, file: str | None) -> None:
    """Show what is in a ticket, without its secret.

    The ticket itself, `-`, a file (`-i`), or BLIXARD_TICKET.
    """
    from blixard.peer.wire.ticket import parse_ticket

    if ticket and file:
        raise UsageError("two tickets were given", hint="give one of them")
    if file and is_ticket_shaped(file):  # `-i` takes a ticket everywhere else
        ticket, file = file, None
    parsed = parse_ticket(ticket_text(ticket, file))
    public = parsed.public()
    if session.out.json:
        session.out.document(public)
        return
    rows = [(name.replace("_", " "), _shown(value)) for name, value in public.items()]
    if parsed.expires_at is not None:
        left = parsed.expires_at - datetime.now(UTC)
        rows.append(
            ("time left", human.duration(left) if left.total_seconds() > 0 else "none, by this machine's clock")
        )
    session.out.line(human.pairs(rows))


def ticket_text(given: str | None, file: str | None) -> str:
    """A ticket from an argument, `-`, a file or BLIXARD_TICKET; only the argument shows in a list of processes.

    Raises:
        UsageError: there is none, or a ticket where its file is wanted.
    """
    if file is not None:
        refuse_ticket(file, "`-i TICKET` without `--ticket-file`; `--ticket-file -` is standard input")
        return sys.stdin.read(_TICKET_FILE_BYTES) if file == "-" else _from_file(file)
    if given == "-":
        return sys.stdin.read(_TICKET_FILE_BYTES)
    text = given or os.environ.get("BLIXARD_TICKET")
    if not text:
        raise UsageError("no ticket was given", hint="`-i -`, `--ticket-file FILE`, or BLIXARD_TICKET")
    return text


def _from_file(file: str) -> str:
    from blixard.files import read_bytes

    return read_bytes(Path(file), _TICKET_FILE_BYTES).decode(errors="replace")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
