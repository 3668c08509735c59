"""`cluster share`, and the second half of `export --p2p-share`: the ticket, then who comes and what they get."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from blixard.cli.options import command, duration, group
from blixard.cli.screen import human
from blixard.cli.verbs.file_source import refuse_ticket
from blixard.cli.verbs.network import NetworkFlags, network_of, network_options, refuse_qr
from blixard.errors import BlixardError, ExitCode, UsageError
from blixard.site.config import SHARE_HOURS
from blixard.site.signals import handling, too_late

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.peers.share import ShareOptions, ShareReport
    from blixard.peer.wire.ticket import Ticket
    from blixard.site.network import NetworkSettings
    from blixard.site.open_cluster import OpenCluster

_HEX_DIGITS = 64


class Sharing(Struct, frozen=True, kw_only=True):
    """How long, how often and for whom, as given."""

    share_for: timedelta
    uses: int | None
    allowed: tuple[str, ...]
    qr: bool


def sharing_options(function: Any) -> Any:
    """Options of a share: how long, how often, for whom, and over which network."""
    sharing = group(
        "sharing",
        Sharing,
        click.option(
            "--share-for",
            type=duration,
            default=timedelta(hours=SHARE_HOURS),
            metavar="DURATION",
            help=f"Serve so long  [{SHARE_HOURS}h]",
        ),
        click.option("--share-uses", "uses", type=click.IntRange(min=1), metavar="N", help="Stop after N receivers"),
        click.option("--allow-peer", "allowed", multiple=True, metavar="ID", help="Only these may fetch (`peer id`)"),
        click.option("--qr", is_flag=True, help="Also show the ticket as a QR code"),
    )
    return network_options(sharing(function))


@command(
    examples=["blixard cluster share cluster-full.json.gz", "blixard cluster share backup.json.gz --share-uses 1"],
    exits=[
        ExitCode.PARTIAL,
        ExitCode.MALFORMED,
        ExitCode.DIGEST_MISMATCH,
        ExitCode.NOT_FOUND,
        ExitCode.LOCKED,
        ExitCode.TRANSFER,
    ],
)
@click.argument("file")
@sharing_options
def share(session: Session, file: str, *, sharing: Sharing, network: NetworkFlags) -> ExitCode:
    """Serve an export file to those who have its ticket, until Ctrl-C.

    Prints a new ticket. Works with no relay and no DNS. Ends with 0 when somebody has
    got all of it, with 3 when nobody has.
    """
    refuse_ticket(file)
    refuse_qr(session, qr=sharing.qr)
    chosen = network_of(session, network)
    options = options_of(session, file, sharing)
    with _history_of(session) as opened:
        return serve(session, options, chosen, qr=sharing.qr, opened=opened)


def options_of(session: Session, file: str, sharing: Sharing, document: str | None = None) -> ShareOptions:
    """What is shared, to whom, for how long; `document` when the file must have that digest."""
    from blixard.ops.peers.share import ShareOptions

    for each in sharing.allowed:
        if len(each) != _HEX_DIGITS or not set(each) <= set("0123456789abcdef"):
            raise UsageError(
                f"`--allow-peer {each}` is no peer id", hint="`blixard peer id` on the other node prints it"
            )
    return ShareOptions(
        path=file,
        document=document,
        share_for=sharing.share_for,
        uses=sharing.uses,
        allowed=sharing.allowed,
        limits=session.config.limits,
    )


def serve(
    session: Session, options: ShareOptions, network: NetworkSettings, *, qr: bool, opened: OpenCluster | None
) -> ExitCode:
    """Serve the file until its time is up, its uses are spent or a signal comes; say how many got all of it."""
    from blixard.cli.screen.outbox import Outbox
    from blixard.cli.screen.share_screen import Screen
    from blixard.ops.peers.share import share as share_file
    from blixard.site.who import SystemClock

    too_late(late=False)
    stop = threading.Event()
    screen = Screen(session.out)
    with session.progress() as meter, Outbox(screen.missed) as outbox, ExitStack() as stack:
        screen.post = outbox.post

        def told(ticket: Ticket, share_bytes: int) -> None:
            # not before: while the file is read there is nobody to tell, and Ctrl-C ends us as any command
            stack.enter_context(_stopping(stop))
            screen.share_bytes = share_bytes
            screen.until = ticket.expires_at
            meter.show_instead(screen)
            _show(session, ticket, qr=qr)

        report = share_file(
            session.site.home,
            options,
            network,
            clock=SystemClock(),
            progress=meter,
            witness=screen,
            told=told,
            stopped=stop.is_set,
            cluster=opened,
        )
    return _tell(session, report)


def _show(session: Session, ticket: Ticket, *, qr: bool) -> None:
    """The ticket: the one line of this command that another program reads."""
    text = ticket.encode()
    if session.out.json:
        session.out.event({"event": "ticket", "ticket": text, **ticket.public()})
    else:
        session.out.line(f"Share this ticket with other nodes: {text}")
        if qr:
            import segno

            with session.out.aside():
                segno.make(text, error="l").terminal(sys.stdout, compact=True)
                sys.stdout.flush()
    sys.stdout.flush()
    session.out.note("serving; Ctrl-C ends it")


def _tell(session: Session, report: ShareReport) -> ExitCode:
    if session.out.json:
        session.out.event({"event": "summary", "report": report})
    elif report.completed:
        session.out.note(f"{human.counts(report.completed, 'receiver')} got all of it")
    else:
        session.out.warn("nobody fetched all of it")
    return report.exit_code


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a share as they should: receivers are told, and the exit code says what was served."""
    with handling(dict.fromkeys((signal.SIGINT, signal.SIGTERM), lambda _number, _frame: stop.set())):
        yield


@contextmanager
def _history_of(session: Session) -> Iterator[OpenCluster | None]:
    """The cluster whose history tells of the receivers: the one that was named, or the current one, if there is one.

    Raises:
        NotFound: one was named that is not there.
    """
    opening: Any = nullcontext(None)
    unasked = session.named_cluster is None
    with suppress(BlixardError) if unasked else nullcontext():
        opening = session.site.open_named(session.named_cluster)
    with opening as opened:
        yield opened
