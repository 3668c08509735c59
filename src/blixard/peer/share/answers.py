"""The serving side's answers on request channels, within the bounds of a share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from msgspec import Struct

from blixard.errors import BlixardError, PeerMisbehaved, PeerRefused, TransferError
from blixard.limits import MIB
from blixard.peer.pace.budget import Budget, Portions
from blixard.peer.pace.threads import Threads
from blixard.peer.ports import Channel, LaneMaker, ServedDocument
from blixard.peer.share.admission import Admission
from blixard.peer.share.receivers import Book
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import Refusal, head
from blixard.peer.wire.states import FROM_CLIENT, Incoming, State

WORDS = {
    Refusal.SECRET: "the secret is not that of this share",
    Refusal.EXPIRED: "the ticket has expired",
    Refusal.USED: "the ticket is used up",
    Refusal.NOT_ALLOWED: "this endpoint is not on the list of those that may come",
    Refusal.BUSY: "too many receivers, or connections of one, at once",
    Refusal.STOPPED: "the share was ended",
    Refusal.VERSION: "a version or feature is not known here",
}


class Bounds(Struct, frozen=True, kw_only=True):
    """What a share gives at most; sizes in bytes, times in seconds."""

    strangers: int = 32
    """Connections that have not proven themselves; the longest standing makes room for a newcomer."""
    receivers: int = 16
    """Endpoint ids that are served at once."""
    connections: int = 16
    """Connections of one receiver."""
    links: int = 64
    """Connections of all receivers; of these, one is kept for each receiver that may still come."""
    channels: int = 16
    """Request channels of one session."""
    bytes_in_flight: int = 96 * MIB
    """Frames read and not yet taken, of all sessions."""
    receiver_bytes_in_flight: int = 16 * MIB
    """The same, of one receiver, over however many connections: a slow one does not take the others' room."""
    handshake_seconds: float = protocol.HANDSHAKE_SECONDS
    idle_seconds: float = 120.0
    """How long a request channel may be without a request."""
    session_idle_seconds: float = 600.0
    """How long a session may be: somebody may look at a plan meanwhile; whoever still wants something comes again."""
    parting_idle_seconds: float = 30.0
    """How long a receiver may be, once the share is over: it writes and syncs what it has got, then asks for more.
    What else it may then: `parting.py`."""
    ping_seconds: float = protocol.PING_SECONDS
    lost_seconds: float = protocol.LOST_SECONDS

    def room_for(self, receiver: str, standing: Mapping[str, int]) -> bool:
        """Whether one more connection of a receiver may stand beside those of all, by endpoint id."""
        own, all_links = standing.get(receiver, 0), sum(standing.values())
        if not own:
            return len(standing) < self.receivers and all_links < self.links
        kept = max(0, self.receivers - len(standing))
        return own < self.connections and all_links + kept < self.links


class Share(Struct, frozen=True):
    """What all sessions of a server have in common."""

    served: ServedDocument
    admission: Admission
    bounds: Bounds
    book: Book
    budget: Budget
    portions: Portions
    threads: Threads
    lanes: LaneMaker | None = None


class Answers:
    """Answers the requests of one session, on all its channels.

    Args:
        receiver: its endpoint id.
        fail: ends the session; given what to tell the operator, and what to tell the peer.
        dismiss: tells the peer that it is not served any more.
    """

    def __init__(
        self, share: Share, receiver: str, *, fail: Callable[[str, str], None], dismiss: Callable[[Refusal], None]
    ) -> None:
        self._share = share
        self._receiver = receiver
        self._fail = fail
        self._dismiss = dismiss
        self._slots = Budget(share.bounds.channels)
        self._portion = share.portions.join(receiver)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._answering = 0
        self._idle_since = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long nothing was asked; 0 while something is answered."""
        with self._lock:
            return 0.0 if self._answering else time.monotonic() - self._idle_since

    def wait_for_slot(self) -> None:
        """Before `serve`: wait until fewer channels are served than are allowed.

        Raises:
            TransferError: the session ends.
        """
        self._slots.take(1)

    def close(self) -> None:
        """Wake whoever waits for room."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
        self._slots.close()
        for shared in (self._portion, self._share.budget):
            shared.wake()
        self._share.portions.leave(self._receiver)

    def serve(self, channel: Channel, kind: str) -> None:
        """Answer the requests on one channel until the peer finishes, is silent for long, or the session ends."""
        try:
            incoming, patience = Incoming(FROM_CLIENT, State.REQUEST), self._share.bounds.idle_seconds
            while (request := incoming.message(channel.receive(patience, limit=0))) is not None:
                with self._busy():
                    self._give(channel, request, kind)
            channel.finish()
        except PeerMisbehaved as problem:
            self._fail(problem.message, "misbehaved")
        except TransferError:
            pass  # this channel is over; the session notices by its control channel when it is lost
        except BlixardError as problem:
            self._share.book.witness.warn(f"cannot read what is shared: {problem.message}")
            self._fail("the file cannot be read", "cannot read")
        finally:
            channel.close()
            self._slots.give(1)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """The session is not idle within this block; the transport bounds how long a peer may take for an answer."""
        with self._lock:
            self._answering += 1
        try:
            yield
        finally:
            with self._lock:
                self._answering -= 1
                self._idle_since = time.monotonic()

    def _give(self, channel: Channel, request: protocol.GetDocument | protocol.GetRecords, kind: str) -> None:
        self._check_use()
        if isinstance(request, protocol.GetDocument):
            self._give_document(channel, request.offset, kind)
        else:
            self._give_records(channel, request.digests, kind)

    def _check_use(self) -> None:
        if not self._share.admission.bind(self._receiver):
            self._dismiss(Refusal.USED)
            raise PeerRefused(Refusal.USED.value, WORDS[Refusal.USED])

    def _give_document(self, channel: Channel, offset: int, kind: str) -> None:
        served = self._share.served
        if offset > served.document_size:
            raise PeerMisbehaved("the peer asked for a part of the document that is not there")
        with served.open_document() as document:
            document.seek(offset)
            self._send_parts(channel, document, kind)
        channel.send(head(protocol.DocumentSent()))

    def _send_parts(self, channel: Channel, document: BinaryIO, kind: str) -> None:
        part = head(protocol.Part())
        while data := document.read(protocol.PART_BYTES):
            channel.send(part, data)
            self._share.book.advance(self._receiver, len(data), kind)

    def _give_records(self, channel: Channel, digests: tuple[str, ...], kind: str) -> None:
        served, book, ended = self._share.served, self._share.book, self._ended.is_set
        for digest in digests:
            key = bytes.fromhex(digest)
            # one's own bound first: whoever is slow waits for itself, not in front of the others
            with self._portion.room(ended) as settle_own, self._share.budget.room(ended) as settle:
                frame = served.frame(key)
                length = 0 if frame is None else len(frame)
                settle_own(length)
                settle(length)
                if frame is None:
                    channel.send(head(protocol.Missing(digest)))
                else:
                    channel.send(head(protocol.RecordFrame(digest, length)), frame)
                    book.advance(self._receiver, length, kind)
