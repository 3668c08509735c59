"""One request channel of a fetch: asks for batches, takes the records, hands back what was lost.

Two batches are on the way at any time, so that the sender never waits for the next request; a batch is about half a
second's worth, so that on a slow link little is asked for that another link could have brought.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.limits import KIB, MIB
from blixard.peer.fetch.options import Fetch
from blixard.peer.fetch.wanted import AskedSender, Item
from blixard.peer.pace.patience import Patience
from blixard.peer.ports import BODY_BYTES, Channel, Link
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from blixard.peer.wire.states import FROM_SERVER, Incoming, State

_BATCHES = 2
_BATCH_SECONDS = 0.5
_LEAST, _FIRST, _MOST = 64 * KIB, MIB, 4 * MIB
_IDLE_SECONDS = 30.0
"""An idle channel is given back before the sender takes it (`Bounds.idle_seconds`)."""


class AskedRoute(Protocol):
    """What a channel knows of the route (`route.py`) to which it belongs."""

    @property
    def link(self) -> Link:
        """The link on which the channel is opened."""

    @property
    def sender(self) -> AskedSender:
        """The sender at the other end of the link."""

    @property
    def ended(self) -> bool:
        """True when nothing is to be asked over it any more."""

    def has_turn(self, requests: Requests) -> bool:
        """Whether this channel should ask now."""

    def progress(self, size: int, seconds: float) -> None:
        """Count a record of `size` bytes, for which one of the channels had waited `seconds`."""


class Requests:
    """One channel of a route. Runs in a thread of its own until the route ends."""

    def __init__(self, fetch: Fetch, route: AskedRoute) -> None:
        self._route = route
        self._wanted = fetch.wanted
        self._meter = fetch.meter
        self._options = fetch.options
        self._channel: Channel | None = None
        self._incoming = Incoming(FROM_SERVER, State.RECORDS)
        self._asked: deque[deque[Item]] = deque()
        self._batch_bytes = _FIRST
        self._patience = Patience(self._options.grace_seconds)
        self._handing_over = False
        self.received = 0
        """Records that came over this channel."""

    @property
    def busy(self) -> bool:
        """True while records are under way to it."""
        return bool(self._asked)

    @property
    def may_ask(self) -> bool:
        """As `Requester.may_ask`."""
        return self._route.has_turn(self)

    @property
    def ended(self) -> bool:
        """As `Requester.ended`."""
        return self._route.ended

    def run(self) -> None:
        """Ask and receive.

        Raises:
            PeerUnreachable, PeerMisbehaved, TransferError: the channel is lost; what was under way is wanted again.
        """
        try:
            while True:
                try:
                    if not self._ask():
                        return
                    if not self._handing_over:  # it may be said while a channel is being opened
                        self._receive()
                except PeerMisbehaved:
                    raise
                except TransferError:
                    if not self._handing_over:
                        raise
                if self._handing_over:
                    self._let_go()
        finally:
            self._let_go()

    def hand_over(self) -> None:
        """Have what is under way come over another route. From any thread; the channel asks again when it may."""
        self._handing_over = True
        channel = self._channel
        if channel is not None:
            channel.close()  # wakes whoever receives on it, and stops the sender

    def _let_go(self) -> None:
        """Close the channel; what was under way is wanted again."""
        self._handing_over = False
        for batch in reversed(self._asked):
            self._wanted.back(batch)
        self._asked.clear()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _ask(self) -> bool:
        """Keep requests under way; False when nothing is to be asked any more."""
        while len(self._asked) < _BATCHES:
            timeout = 0 if self._asked else _IDLE_SECONDS if self._channel else None
            items = self._wanted.take(self, count=protocol.BATCH, length=self._batch_bytes, timeout=timeout)
            if items is None:
                return False
            if items:
                self._asked.append(deque(items))
                self._send(items)
            elif self._asked:
                break
            elif self._channel is not None:
                self._channel.close()
                self._channel = None
        return True

    def _send(self, items: list[Item]) -> None:
        if self._channel is None:
            self._channel = self._route.link.open(self._options.reply_seconds)
            self._incoming = Incoming(FROM_SERVER, State.RECORDS)
            self._patience = Patience(self._options.grace_seconds)
        self._channel.send(head(protocol.GetRecords(tuple(digest.hex() for digest, _ in items))))

    def _receive(self) -> None:
        """Take the next record of the oldest request."""
        batch = self._asked[0]
        digest, length = batch[0]
        channel = self._channel
        if channel is None:
            raise TransferError("nothing was asked for")
        began = time.monotonic()
        frame = channel.receive(self._options.reply_seconds, limit=_frame_limit(length))
        seconds = time.monotonic() - began
        answer = self._incoming.message(frame)
        if frame is None:
            raise PeerUnreachable("the peer ended the channel before it had answered")
        _check(answer, digest, len(frame[1]))
        batch.popleft()
        if not batch:
            self._asked.popleft()
        size = len(frame[1])
        self._meter.add(self._route.link.kind, size)
        self._wanted.arrived(digest, frame[1], self._route.sender)
        self.received += 1
        self._route.progress(size, seconds)
        self._adapt(seconds, size)
        self._patience.waited(seconds, size)

    def _adapt(self, seconds: float, size: int) -> None:
        """Half a second's worth in a batch, by what this record took; one that was there already says nothing."""
        if seconds > 0.001 and size:
            worth = int(size / seconds * _BATCH_SECONDS)
            self._batch_bytes = max(_LEAST, min(_MOST, (3 * self._batch_bytes + worth) // 4))


def _check(answer: protocol.RecordFrame | protocol.Missing, digest: bytes, size: int) -> None:
    """See that the answer is to what was asked for."""
    if answer.blake3 != digest.hex():
        raise PeerMisbehaved("the peer answered with another record than it was asked for")
    if isinstance(answer, protocol.Missing):
        raise PeerMisbehaved(f"the peer has not got the record `{answer.blake3}` of its own document")
    if answer.length != size:
        raise PeerMisbehaved("the peer sent a record of another length than it said")


def _frame_limit(length: int) -> int:
    """Longest frame of a record: zstd adds little to what it cannot compress, so more than this is an attack."""
    return min(BODY_BYTES, 2 * length + 64 * KIB)
