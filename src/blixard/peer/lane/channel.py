"""A channel of a lane: the frames of `wire.frames` over one TLS connection of its own.

One connection for each channel needs no multiplexing: TCP's back-pressure is the channel's, a slow one holds up no
other, and several of them are what a path that loses packets wants anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.model.structs import JsonObject
from blixard.peer.lane.tls import LOST, TlsStream
from blixard.peer.pace.deadline import Deadline
from blixard.peer.ports import BODY_BYTES, STALL_SECONDS, Body, Frame, body_seconds
from blixard.peer.wire.frames import FrameReader, encode_frame

_END = bytes(4)
"""In the place of a head length: no more frames from this side. An end without it is a connection that was cut."""


class LaneChannel:
    """As `ports.Channel`; the connection is closed when both sides have finished, or at the first error."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream
        self._reader = FrameReader()
        self._lock = threading.Lock()
        self._finished = False
        self._ended = False
        self._closed = False
        self._broken: str | None = None
        self._gone: list[Callable[[LaneChannel], None]] = []

    @property
    def over(self) -> bool:
        """True when neither side can do anything here any more."""
        return self._closed or self._broken is not None or (self._finished and self._ended)

    @property
    def congestion(self) -> str:
        """The congestion control in force: `bbr`, `cubic`."""
        return self._stream.congestion

    def when_gone(self, call: Callable[[LaneChannel], None]) -> None:
        """Have `call` made once this channel is over, at once when it is."""
        with self._lock:
            self._gone.append(call)
        if self.over:
            self._let_go()

    def send(self, head: JsonObject, body: Body = b"") -> None:
        """As `Channel.send`."""
        self._check_usable()
        if self._finished:
            raise TransferError("the channel was finished already")
        deadline = Deadline(STALL_SECONDS + body_seconds(len(body)))
        try:
            for part in encode_frame(head, body):
                self._stream.send(part, deadline)
        except TransferError as problem:
            raise self._ending(problem) from problem

    def receive(self, timeout: float | None, *, limit: int = BODY_BYTES) -> Frame | None:
        """As `Channel.receive`."""
        if self._ended and not self._closed:
            return None
        self._check_usable()
        self._reader.limit = limit
        try:
            frame = self._receive(Deadline(timeout))
        except TransferError as problem:
            raise self._ending(problem) from problem
        if frame is None:
            self._ended = True
            if self.over:
                self._let_go()
        return frame

    def finish(self) -> None:
        """As `Channel.finish`: what was sent is in the peer's kernel when this returns."""
        if self._finished and not self._closed:
            return
        self._check_usable()
        try:
            self._stream.drain(STALL_SECONDS)
        except TransferError as problem:
            raise self._ending(problem) from problem
        # all frames have arrived; a peer that had enough of us and hung up lost nothing
        with suppress(PeerUnreachable):
            self._stream.send(_END, Deadline(STALL_SECONDS))
            self._stream.drain(STALL_SECONDS)
        self._finished = True
        if self.over:
            self._let_go()

    def close(self) -> None:
        """As `Channel.close`."""
        self._closed = True
        self._let_go()

    def break_off(self, why: str) -> None:
        """End it because the link is gone; whoever waits here is told `why`."""
        if not self.over:
            self._broken = why
            self._let_go()

    def _receive(self, deadline: Deadline) -> Frame | None:
        reader = self._reader
        while True:
            with reader.room() as room:
                count = self._stream.fill(room, deadline)
                whole = count == len(room)
                ending = reader.between and whole and room[:] == _END
            if not whole:
                raise PeerUnreachable(self._broken or "the peer closed the channel")
            if ending:
                return None
            before = reader.body_length
            frame = reader.filled(count)
            if frame is not None:
                return frame
            if not before and reader.body_length:
                deadline.extend(body_seconds(reader.body_length))

    def _check_usable(self) -> None:
        if self._closed:
            raise TransferError("the channel is closed")
        if self._broken is not None:
            raise PeerUnreachable(self._broken)
        if self._finished and self._ended:
            raise TransferError("the channel was finished by both sides")

    def _ending(self, problem: TransferError) -> TransferError:
        """The error of a failed call: that we closed, or that the link is gone, explains what the stream met."""
        if self._closed:
            return TransferError("the channel is closed")
        if self._broken is not None:
            return PeerUnreachable(self._broken)
        self.close()
        if isinstance(problem, (PeerUnreachable, PeerMisbehaved)):
            return problem
        return PeerUnreachable(LOST)

    def _let_go(self) -> None:
        """Close the connection, and tell those who wanted to know."""
        self._stream.close()
        with self._lock:
            calls, self._gone = self._gone, []
        for call in calls:
            call(self)
