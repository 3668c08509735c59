"""What `import --p2p` and `cluster fetch` share: tickets, how patiently, and the document at its senders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, structs

from blixard.cli.options import duration, group
from blixard.cli.verbs.network import NetworkFlags, network_of, network_options
from blixard.cli.verbs.peer import ticket_text
from blixard.errors import ExitCode, InvalidTicket

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.peers.source import PeerSource
    from blixard.peer.fetch.options import FetchOptions
    from blixard.peer.wire.ticket import Ticket


FETCHING = (
    ExitCode.LOCKED,
    ExitCode.TRANSFER,
    ExitCode.BAD_TICKET,
    ExitCode.PEER_UNREACHABLE,
    ExitCode.PEER_MISBEHAVED,
)
"""How a command can end that fetches."""


class Fetching(Struct, frozen=True, kw_only=True):
    """Where the tickets are, how long a silent sender is waited for, and how many connections it gets, as given."""

    ticket_files: tuple[str, ...]
    timeout: timedelta | None
    connections: int | None


def fetching_options(function: Any) -> Any:
    """Options of every command that fetches."""
    fetching = group(
        "fetching",
        Fetching,
        click.option(
            "--ticket-file",
            "ticket_files",
            multiple=True,
            metavar="FILE",
            help="Tickets, one a line, out of sight of process lists",
        ),
        click.option("--timeout", type=duration, metavar="DURATION", help="For a silent sender  [1m]"),
        click.option(
            "--connections",
            type=click.IntRange(1, 16),
            metavar="N",
            help="To each sender  [1, up to 4 while each brings more]",
        ),
    )
    return network_options(fetching(function))


def tickets_of(sources: Sequence[str], ticket_files: Sequence[str]) -> list[Ticket]:
    """The tickets that were given: arguments, `-`, files, else BLIXARD_TICKET; each may hold several, one a line.

    Raises:
        UsageError: none.
        InvalidTicket: one is garbled; the error says which, and where.
    """
    texts = [ticket_text(source, None) for source in sources]
    texts += [ticket_text(None, file) for file in ticket_files]
    given = [each for text in texts or [ticket_text(None, None)] for each in _one_a_line(text)]
    return [_parsed(each, f"ticket {number} of {len(given)}: ") for number, each in enumerate(given, 1)]


def _one_a_line(text: str) -> list[str]:
    """The tickets in `text`. A line that does not begin like one goes on with the one before: a mail has broken it."""
    from blixard.peer.wire.ticket import PREFIX

    return re.split(rf"\n\s*(?={PREFIX})", text.strip(), flags=re.IGNORECASE)


def _parsed(text: str, which: str) -> Ticket:
    from blixard.peer.wire.ticket import parse_ticket

    try:
        return parse_ticket(text)
    except InvalidTicket as error:
        if which.endswith("1 of 1: "):
            raise
        raise InvalidTicket(which + error.message, hint=error.hint) from error


def senders(
    session: Session, tickets: Sequence[Ticket], fetching: Fetching, flags: NetworkFlags, verb: str, *, looking: bool
) -> Callable[[], AbstractContextManager[PeerSource]]:
    """What opens the document at its senders.

    With `looking` (a dry run) the senders are told that nothing will be taken: no use of the ticket is spent.
    """
    from blixard.ops.peers.source import peer_source

    options = _fetch_options(fetching)
    network = network_of(session, flags)
    site = session.site

    @contextmanager
    def opened() -> Iterator[PeerSource]:
        limits = session.config.limits
        with peer_source(site.home, tickets, network, options=options, limits=limits, verb=verb) as source:
            source.wanted = not looking
            yield source

    return opened


def _fetch_options(fetching: Fetching) -> FetchOptions:
    """The options of the fetch; a number of connections that was given is kept to, whatever each brings."""
    from blixard.peer.fetch.options import FetchOptions

    given: dict[str, float] = {}
    if fetching.timeout is not None:
        given["timeout"] = fetching.timeout.total_seconds()
    if fetching.connections is not None:
        given |= {"connections": fetching.connections, "most_connections": fetching.connections}
    return structs.replace(FetchOptions(), **given)


def sender_names(tickets: Sequence[Ticket]) -> str:
    """How the senders stand in history and reports: ids, never the ticket."""
    return ", ".join(f"peer {ticket.peer_id[:16]}" for ticket in tickets)
