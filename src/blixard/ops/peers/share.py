"""`cluster share`: serve one export file until it was fetched, time is up, or somebody says stop.

The ticket is told first; after that everything that happens is told to a witness, and every receiver goes to history.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta

from msgspec import Struct

from blixard.errors import Conflict, ExitCode
from blixard.home import Home
from blixard.limits import DEFAULT, Limits
from blixard.ops.peers.served_file import ServedFile
from blixard.ops.peers.share_history import ShareHistory
from blixard.peer.share.admission import Terms
from blixard.peer.share.receivers import Receiver, Witness
from blixard.peer.share.server import Server
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.ticket import Ticket
from blixard.ports import Clock, Progress
from blixard.site.config import SHARE_HOURS
from blixard.site.network import NetworkSettings
from blixard.site.open_cluster import OpenCluster

VERB = "cluster share"
_LOOK_SECONDS = 0.25
"""How often a share looks whether it was told to stop."""


class ShareOptions(Struct, frozen=True, kw_only=True):
    """What to share, with whom and for how long."""

    path: str
    document: str | None = None
    """The digest that the file must have: it is opened by its name, and may be another by now."""
    share_for: timedelta = timedelta(hours=SHARE_HOURS)
    uses: int | None = None
    allowed: tuple[str, ...] = ()
    """Endpoint ids, hex; none is everybody who has the ticket."""
    limits: Limits = DEFAULT


class ShareReport(Struct, frozen=True, kw_only=True):
    """What became of a share, and who fetched from it."""

    path: str
    document: str
    completed: int
    receivers: tuple[Receiver, ...]
    exit_code: ExitCode


Told = Callable[[Ticket, int], None]
Stopped = Callable[[], bool]


def share(
    home: Home,
    options: ShareOptions,
    network: NetworkSettings,
    *,
    clock: Clock,
    progress: Progress,
    witness: Witness,
    told: Told,
    stopped: Stopped,
    cluster: OpenCluster | None = None,
) -> ShareReport:
    """Serve a file; returns when every use is complete, time is up, or `stopped` says so.

    Args:
        home: the data directory; its node key is our identity.
        options: what is served, to whom, for how long.
        network: where this node listens, and by which relay and lanes it can be reached.
        clock: time; alone judges expiry.
        progress: told about the first reading of the file.
        witness: told of every receiver.
        told: given the ticket and about how many bytes go to whoever takes all of it; once, before anybody can come.
        stopped: asked a few times a second, from the ticket on.
        cluster: whose history the receivers go to.

    Raises:
        UsageError, ExportFileError, StorageError: the file cannot be shared.
        Conflict: it is not the document that it should be.
        Locked, StorageError: `failed to create Iroh node`, and why.
    """
    with ExitStack() as stack:
        served = stack.enter_context(ServedFile(options.path, progress=progress, limits=options.limits))
        _check_document(options, served.document)
        node = stack.enter_context(network.node(home, VERB))
        for warning in node.warnings:
            witness.warn(warning)
        expires = (clock.now() + options.share_for).replace(microsecond=0)
        secret = Secret.new()
        terms = Terms(
            secret=secret,
            expires_at=expires,
            uses=options.uses,
            allowed=frozenset(options.allowed) if options.allowed else None,
        )
        server = Server(served, terms, now=clock.now, witness=witness, lanes=node.lanes)
        stack.callback(server.stop)
        listener = node.endpoint.listen()
        told(
            Ticket(
                endpoint_id=bytes.fromhex(node.endpoint.id),
                addresses=node.endpoint.addresses(),
                relay=node.relay,
                document=served.document,
                secret=secret,
                expires_at=expires,
            ),
            served.share_bytes,
        )
        server.serve(listener)
        history = ShareHistory(cluster, verb=VERB, document=served.document, place=options.path, uses=options.uses)
        _wait(server, expires, clock, stopped, history)
        server.stop()
        history.finish(server.receivers())
        return ShareReport(
            path=options.path,
            document=served.document,
            completed=server.completed,
            receivers=server.receivers(),
            exit_code=ExitCode.DONE if server.completed else ExitCode.PARTIAL,
        )


def _check_document(options: ShareOptions, found: str) -> None:
    if options.document is not None and found != options.document:
        raise Conflict(
            f"`{options.path}` is not the export that was written: it was replaced meanwhile",
            hint=f"`blixard cluster share {options.path}` serves what is there now",
        )


def _wait(server: Server, expires: datetime, clock: Clock, stopped: Stopped, history: ShareHistory) -> None:
    """Wait until the share is over; who transfers when time is up may finish, within the bounds of `parting.py`."""
    while not stopped() and not server.wait(_LOOK_SECONDS):
        server.end_overdue()
        history.follow(server.receivers())
        if clock.now() >= expires and not any(receiver.sessions for receiver in server.receivers()):
            return
