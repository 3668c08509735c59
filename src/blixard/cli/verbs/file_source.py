"""The export file that a command looks into: given positionally or with `-i`, once."""

from __future__ import annotations

import click

from blixard import limits
from blixard.cli.options import int_in, one_of
from blixard.errors import ExitCode, UsageError, is_ticket_shaped

READING = (ExitCode.MALFORMED, ExitCode.UNSUPPORTED_VERSION, ExitCode.LIMIT)
"""How a command can end that reads an export file."""
CHECKING = (*READING, ExitCode.DIGEST_MISMATCH)
"""How one can end that also checks what it reads."""
FILE = click.argument("file", required=False)
INPUT = click.option("-i", "--input", "source", metavar="FILE", help="The same as FILE; `-` is standard input")
THREADS = click.option(
    "--threads", type=int_in(limits.THREADS), metavar="N", help="Workers  [export.threads, else one for each core]"
)
NO_COMPRESS = click.option("--no-compress", is_flag=True, help="Plain JSON instead of gzip")

TICKET_USES = (
    "`blixard cluster import --p2p -i TICKET` imports what it names, `blixard cluster fetch -i TICKET -o FILE` keeps it"
)


def refuse_ticket(name: str, hint: str = TICKET_USES) -> None:
    """Stop when a ticket stands where the name of a file is wanted: "no such file" would not help.

    Raises:
        UsageError: it does.
    """
    if is_ticket_shaped(name):
        raise UsageError(f"`{name}` is a ticket, and no file", hint=hint)


def no_file(hint: str) -> UsageError:
    """The refusal of a command line that names no file; `hint` says how one is named."""
    return UsageError("no file was named", hint=hint)


def one_source(file: str | None, source: str | None) -> str:
    """The file that was named.

    Raises:
        UsageError: none, or two, or a ticket.
    """
    name = one_of("files", file, "-i", source)
    if not name:
        raise no_file("give its path; `-` is standard input")
    refuse_ticket(name)
    return name
