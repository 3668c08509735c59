"""`cluster share`, and the second half of `export --p2p-share`: the ticket, then who comes and what they get."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from blixard.cli import human
from blixard.cli.network import network_of, network_options
from blixard.cli.options import command, duration
from blixard.errors import BlixardError, ExitCode, UsageError

if TYPE_CHECKING:
    from blixard.cli.progress import Meter
    from blixard.cli.session import Session
    from blixard.ops.context import OpenCluster
    from blixard.ops.network import Network
    from blixard.ops.share import ShareOptions, ShareReport
    from blixard.peer.receivers import Receiver
    from blixard.peer.ticket import Ticket

DAY = timedelta(hours=24)
_HEX_DIGITS = 64


def sharing_options(function: Any) -> Any:
    """Options of a share: how long, how often, for whom."""
    for option in (
        click.option("--qr", is_flag=True, help="Also show the ticket as a QR code"),
        click.option("--allow-peer", "allowed", multiple=True, metavar="ID", help="Only these may fetch (`peer id`)"),
        click.option("--share-uses", "uses", type=click.IntRange(min=1), metavar="N", help="Stop after N receivers"),
        click.option("--share-for", type=duration, default=DAY, metavar="DURATION", help="Serve so long  [24h]"),
    ):
        function = option(function)
    return network_options(function)


@command(
    examples=["blixard cluster share cluster-full.json.gz", "blixard cluster share backup.json.gz --share-uses 1"],
    exits=[ExitCode.PARTIAL, ExitCode.MALFORMED, ExitCode.DIGEST_MISMATCH, ExitCode.LOCKED, ExitCode.TRANSFER],
)
@click.argument("file")
@sharing_options
def share(session: Session, file: str, **given: Any) -> ExitCode:
    """Serve an export file to those who have its ticket, until Ctrl-C.

    Prints a new ticket. Works with no relay and no DNS. Ends with 0 when somebody has
    got all of it, with 3 when nobody has.
    """
    network = network_of(session, given)
    options = options_of(session, file, given)
    with _history_of(session) as opened:
        return serve(session, options, network, qr=given["qr"], opened=opened)


def options_of(session: Session, file: str, given: dict[str, Any]) -> ShareOptions:
    """What is shared, to whom, for how long."""
    from blixard.ops.share import ShareOptions

    for each in given["allowed"]:
        if len(each) != _HEX_DIGITS or not set(each) <= set("0123456789abcdef"):
            raise UsageError(
                f"`--allow-peer {each}` is no peer id", hint="`blixard peer id` on the other node prints it"
            )
    return ShareOptions(
        path=file,
        share_for=given["share_for"],
        uses=given["uses"],
        allowed=tuple(given["allowed"]),
        limits=session.config.limits,
    )


def serve(
    session: Session, options: ShareOptions, network: Network, *, qr: bool, opened: OpenCluster | None
) -> ExitCode:
    """Serve until it is over, and tell."""
    from blixard.cli import wiring
    from blixard.ops.context import SystemClock
    from blixard.ops.share import share as share_file

    stop = threading.Event()
    with wiring.progress(session) as meter, _stopping(stop):
        screen = _Screen(session, meter)
        report = share_file(
            wiring.site(session).home,
            options,
            network,
            clock=SystemClock(),
            progress=meter,
            witness=screen,
            told=lambda ticket: _show(session, ticket, qr=qr),
            stopped=stop.is_set,
            cluster=opened,
        )
    return _tell(session, report)


class _Screen:
    """`peer.receivers.Witness`: lines for people, bytes for the meter."""

    def __init__(self, session: Session, meter: Meter) -> None:
        self._session = session
        self._meter = meter
        self._begun = False

    def joined(self, receiver: Receiver) -> None:
        """A receiver was let in."""
        if not self._begun:
            self._begun = True
            self._meter.begin("serving", None)
        self._note(receiver, f"{_short(receiver)} came from {receiver.address or 'a relay'}")

    def advanced(self, receiver_id: str, amount: int, kind: str) -> None:  # noqa: ARG002 - as `Witness`
        """Bytes went out."""
        self._meter.advance(amount)

    def completed(self, receiver: Receiver) -> None:
        """It has all it wanted."""
        took = (receiver.last_at - receiver.first_at).total_seconds()
        rate = f", {human.size(int(receiver.sent_bytes / took))}/s" if took > 0 else ""
        self._note(
            receiver, f"{_short(receiver)} has all of it: {human.size(receiver.sent_bytes)} in {took:.1f} s{rate}"
        )

    def left(self, receiver: Receiver) -> None:
        """A session ended."""
        if receiver.problem and not receiver.completed:
            self._note(receiver, f"{_short(receiver)} left: {receiver.problem}")

    def refused(self, peer_id: str, address: str, reason: str) -> None:
        """Somebody was not let in."""
        self._session.out.note(f"{peer_id[:16]} from {address or 'a relay'} was not let in: {reason}")

    def warn(self, message: str) -> None:
        """The operator should know."""
        self._meter.warn(message)

    def _note(self, receiver: Receiver, text: str) -> None:
        if self._session.out.json:
            show_event(self._session, {"event": "receiver", "receiver": receiver})
        else:
            self._session.out.note(text)


def _short(receiver: Receiver) -> str:
    return f"receiver {receiver.id[:16]}"


def _show(session: Session, ticket: Ticket, *, qr: bool) -> None:
    """The ticket: the one line of this command that another program reads."""
    text = ticket.encode()
    if session.out.json:
        show_event(session, {"event": "ticket", "ticket": text, **ticket.public()})
    else:
        session.out.line(f"Share this ticket with other nodes: {text}")
        if qr:
            import segno

            with session.out.aside():
                segno.make(text, error="l").terminal(sys.stdout, compact=True)
                sys.stdout.flush()
    sys.stdout.flush()
    session.out.note("serving; Ctrl-C ends it")


def show_event(session: Session, event: dict[str, Any]) -> None:
    """One line of JSON, at once: whoever follows a share reads while it runs."""
    from blixard.cli.jsonout import to_json_line

    session.out.line(to_json_line(event))
    sys.stdout.flush()


def _tell(session: Session, report: ShareReport) -> ExitCode:
    if session.out.json:
        show_event(session, {"event": "summary", "report": report})
    elif report.completed:
        session.out.note(f"{human.counts(report.completed, 'receiver')} got all of it")
    else:
        session.out.warn("nobody fetched all of it")
    return report.exit_code


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a share as they should: receivers are told, and the exit code says what was served."""

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def _history_of(session: Session) -> Iterator[OpenCluster | None]:
    """The cluster whose history tells of the receivers: the one that was named, or the current one, if there is one."""
    from blixard.cli import wiring

    opening: Any = nullcontext(None)
    with suppress(BlixardError):
        opening = wiring.site(session).open_named(session.named_cluster)
    with opening as opened:
        yield opened
