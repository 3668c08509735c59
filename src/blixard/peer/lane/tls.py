"""Bytes over one TLS connection: blocking calls with deadlines on a socket that never blocks.

OpenSSL's connection must not be touched by two threads at once, and CPython 3.11 does not see to it; so each call into
it is made under a lock and never waits, and waiting is done outside by `poll`. A thread that sends and one that
receives share a connection this way, at the speed of the blocking calls (measured: docs/adr/0009).
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

from blixard.errors import PeerUnreachable, TransferError
from blixard.model.addresses import SocketAddress
from blixard.peer.lane.tcp import congestion_of, undelivered
from blixard.peer.pace.deadline import Deadline
from blixard.peer.pace.rate import UNLIMITED, RateLimit
from blixard.peer.ports import Body

LOST = "the lane is lost"
_NOT_YET = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What OpenSSL raises where it would have to wait for the network."""
_FIRST_LOOK = 1
_LONGEST_LOOK = 20
"""Milliseconds between two looks at what the peer's kernel has confirmed; nothing can be waited for there."""


class TlsStream:
    """A TLS connection on which one thread sends and one receives; `close` may come from any.

    Args:
        tls: before its handshake; it is ours from now on.
        sending: how fast bytes may leave; `receiving`: how fast they are taken.
    """

    def __init__(self, tls: ssl.SSLSocket, *, sending: RateLimit = UNLIMITED, receiving: RateLimit = UNLIMITED) -> None:
        tls.setblocking(False)
        self._tls = tls
        self._sending = sending
        self._receiving = receiving
        self._library = threading.Lock()
        self._state = threading.Lock()
        self._users = 0
        self._closed = False

    def shake_hands(self, deadline: Deadline) -> bytes:
        """Do the TLS handshake; the peer's certificate, DER. On a dialling side the peer has not judged us yet.

        Raises:
            PeerUnreachable: not in time, or not the one we expect.
        """
        with self._use(), _translated():
            while True:
                try:
                    with self._library:
                        self._tls.do_handshake()
                        return self._tls.getpeercert(binary_form=True) or b""
                except _NOT_YET as want:
                    self._wait(want, deadline)

    def send(self, data: Body, deadline: Deadline) -> None:
        """Hand all of `data` to the kernel. Waiting for the rate does not count against the deadline.

        Raises:
            PeerUnreachable: not taken in time, or lost.
            TransferError: closed by us.
        """
        view = memoryview(data)
        with self._use(), _translated():
            while view:
                portion = self._grant(self._sending, len(view), deadline)
                self._send_all(view[:portion], deadline)
                view = view[portion:]

    def fill(self, room: memoryview, deadline: Deadline) -> int:
        """Receive until `room` is full; the bytes received, fewer only when the stream ended.

        Raises:
            PeerUnreachable: not there in time, or lost.
            TransferError: closed by us.
        """
        at = 0
        with self._use(), _translated():
            while at < len(room):
                try:
                    count = self._read_all(room[at:])
                except _NOT_YET as want:
                    self._wait(want, deadline)
                    continue
                if not count:
                    return at
                at += count
                while count and self._receiving.limited:
                    count -= self._grant(self._receiving, count, deadline)
        return at

    def drain(self, seconds: float) -> None:
        """Wait until the peer's kernel has all we sent; `seconds` is for each step forward.

        Raises:
            PeerUnreachable: no step forward in that time, or lost.
        """
        with self._use(), _translated():
            least, deadline, pause = None, Deadline(seconds), _FIRST_LOOK
            broken = select.poll()
            broken.register(self._tls.fileno(), 0)  # errors are always told
            while left := undelivered(self._tls):
                self._check_open()
                if least is None or left < least:
                    least, deadline = left, Deadline(seconds)
                if deadline.passed():
                    raise PeerUnreachable("the peer does not take what was sent")
                if broken.poll(pause):
                    raise PeerUnreachable(LOST)
                pause = min(2 * pause, _LONGEST_LOOK)

    @property
    def peer(self) -> SocketAddress:
        """The address of the other end."""
        with self._use(), _translated():
            return SocketAddress.of(self._tls.getpeername())

    @property
    def congestion(self) -> str:
        """The congestion control in force."""
        with self._use():
            return congestion_of(self._tls)

    def close(self) -> None:
        """End it for both sides at once. The descriptor goes with its last user, because its number is used again."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            unused = not self._users
        with suppress(OSError):
            # SSLSocket's own would drop the TLS state under a reader
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)
        if unused:
            self._tls.close()

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._state:
            self._check_open()
            self._users += 1
        try:
            yield
        finally:
            with self._state:
                self._users -= 1
                last = self._closed and not self._users
            if last:
                self._tls.close()

    def _check_open(self) -> None:
        if self._closed:
            raise TransferError("the channel is closed")

    def _send_all(self, view: memoryview, deadline: Deadline) -> None:
        at = 0
        while at < len(view):
            try:
                with self._library:
                    while at < len(view):
                        at += self._tls.write(view[at:])  # a TLS record, 16 KiB, at a time
            except _NOT_YET as want:
                self._wait(want, deadline)

    def _read_all(self, room: memoryview) -> int:
        """Read what is there, a TLS record of 16 KiB at a time; 0 at the end of the stream."""
        read = cast("Callable[[int, memoryview], int]", self._tls.read)  # with room, it gives the number of bytes
        at = 0
        with self._library:
            try:
                while at < len(room):
                    count = read(len(room) - at, room[at:])
                    if not count:
                        break
                    at += count
            except _NOT_YET:
                if not at:
                    raise
        return at

    def _wait(self, want: ssl.SSLError, deadline: Deadline) -> None:
        self._check_open()
        left = deadline.left()
        waiting = select.poll()
        event = select.POLLIN if isinstance(want, ssl.SSLWantReadError) else select.POLLOUT
        waiting.register(self._tls.fileno(), event)
        if left == 0 or not waiting.poll(None if left is None else left * 1000 + 1):
            raise PeerUnreachable("the peer did not move on in time")
        self._check_open()

    def _grant(self, limit: RateLimit, wanted: int, deadline: Deadline) -> int:
        if not limit.limited:
            return wanted
        began = time.monotonic()
        portion = limit.grant(wanted)
        deadline.extend(time.monotonic() - began)
        self._check_open()
        return portion


@contextmanager
def _translated() -> Iterator[None]:
    """Whatever OpenSSL and the kernel raise means that the lane is lost; their text may be a hostile peer's."""
    try:
        yield
    except OSError as problem:
        raise PeerUnreachable(LOST) from problem
