"""A channel within one process: two bounded pipes of bytes, with frames on them.

The bytes are real frames and the waits real waits, so that back-pressure, half a frame and a peer that does not speak
frames at all (`raw`) are seen without a network.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.model.structs import JsonObject
from blixard.peer.pace.deadline import Deadline
from blixard.peer.ports import BODY_BYTES, Body, Frame, body_seconds
from blixard.peer.wire.frames import FrameReader, encode_frame

Ready = Callable[[], bool]


class Pipe:
    """Bytes in one direction, at most `capacity` of them waiting."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._finished = False
        self._broken: str | None = None

    def write(self, data: Body, deadline: Deadline) -> None:
        """Hand `data` over, waiting for room."""
        view = memoryview(data)
        with self._changed:
            while view:
                self._wait(deadline, lambda: self._size < self._capacity)
                if self._finished:
                    raise TransferError("the channel was finished already")
                part = view[: self._capacity - self._size]
                self._waiting.append(memoryview(bytes(part)))
                self._size += len(part)
                view = view[len(part) :]
                self._changed.notify_all()

    def read_into(self, room: memoryview, deadline: Deadline) -> int:
        """Fill a part of `room`; 0 at the end."""
        with self._changed:
            self._wait(deadline, lambda: self._size > 0 or self._finished)
            if not self._size:
                return 0
            first = self._waiting[0]
            count = min(len(first), len(room))
            room[:count] = first[:count]
            self._waiting[0] = first[count:]
            if count == len(first):
                self._waiting.popleft()
            self._size -= count
            self._changed.notify_all()
            return count

    def finish(self, deadline: Deadline) -> None:
        """No more; wait until all was read."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()
            self._wait(deadline, lambda: self._size == 0)

    def done(self) -> bool:
        """True when all that will ever come was read."""
        with self._changed:
            return self._finished and not self._size

    def break_off(self, why: str) -> None:
        """Wake everybody; what waits is lost."""
        with self._changed:
            if self._broken is None:
                self._broken = why
                self._waiting.clear()
                self._size = 0
                self._changed.notify_all()

    def _wait(self, deadline: Deadline, ready: Ready) -> None:
        """Under the lock."""
        while self._broken is None and not ready():
            left = deadline.left()
            if left == 0:
                raise PeerUnreachable("the peer did not move on in time")
            self._changed.wait(left)
        if self._broken is not None:
            raise PeerUnreachable(self._broken)


class LoopbackChannel:
    """One end of a pair of pipes."""

    def __init__(self, incoming: Pipe, outgoing: Pipe, stall: float) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._stall = stall
        self._reader = FrameReader()
        self._closed = False

    def send(self, head: JsonObject, body: Body = b"") -> None:
        """As `Channel.send`."""
        self._check_open()
        deadline = Deadline(self._stall + body_seconds(len(body)))
        try:
            for part in encode_frame(head, body):
                self._outgoing.write(part, deadline)
        except PeerUnreachable:
            self._check_open()
            self.close()
            raise

    def raw(self, data: Body) -> None:
        """Bytes that need not be frames; for tests."""
        self._outgoing.write(data, Deadline(self._stall))

    def receive(self, timeout: float | None, *, limit: int = BODY_BYTES) -> Frame | None:
        """As `Channel.receive`."""
        self._check_open()
        self._reader.limit = limit
        deadline = Deadline(timeout)
        try:
            return self._receive(deadline)
        except PeerUnreachable:
            self._check_open()
            self.close()
            raise
        except PeerMisbehaved:
            self.close()
            raise

    def finish(self) -> None:
        """As `Channel.finish`."""
        self._check_open()
        try:
            self._outgoing.finish(Deadline(self._stall))
        except PeerUnreachable:
            self._check_open()
            self.close()
            raise

    def close(self) -> None:
        """As `Channel.close`."""
        self._closed = True
        self.break_off("the peer closed the channel")

    @property
    def over(self) -> bool:
        """True when nothing will pass any more."""
        return self._closed or (self._incoming.done() and self._outgoing.done())

    def break_off(self, why: str) -> None:
        """End both directions for both sides; one that was finished and read stays so."""
        for pipe in (self._incoming, self._outgoing):
            if not pipe.done():
                pipe.break_off(why)

    def _receive(self, deadline: Deadline) -> Frame | None:
        reader = self._reader
        extended = False
        while True:
            with reader.room() as room:
                count = self._incoming.read_into(room, deadline)
            if not count:
                reader.end()
                return None
            frame = reader.filled(count)
            if frame is not None:
                return frame
            if reader.body_length and not extended:
                deadline.extend(body_seconds(reader.body_length))
                extended = True

    def _check_open(self) -> None:
        if self._closed:
            raise TransferError("the channel is closed")
