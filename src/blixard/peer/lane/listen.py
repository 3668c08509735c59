"""Take connections for the lanes of current sessions, and get rid of everybody else at a bounded price.

A stranger costs a place among sixteen for at most five seconds and is told nothing: no certificate of a session, no
handshake; no token, not a byte after it. Those who come while sixteen are being judged wait among 64, and the rest are
hung up on at once. Without a session nobody is spoken to at all.
"""

from __future__ import annotations

import hmac
import os
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec

from blixard.errors import PeerMisbehaved, StorageError, TransferError
from blixard.model.addresses import SocketAddress
from blixard.model.structs import JsonObject
from blixard.peer.lane.certificates import LaneIdentity
from blixard.peer.lane.channel import LaneChannel
from blixard.peer.lane.dial import Tuning
from blixard.peer.lane.hello import LaneHello, parse_hello
from blixard.peer.lane.tcp import prepare
from blixard.peer.lane.tls import TlsStream
from blixard.peer.pace.deadline import Deadline
from blixard.peer.wire.addresses import family_of

JUDGING_SECONDS = 5.0
JUDGED_AT_ONCE = 16
WAITING = 64
_BREATH_SECONDS = 0.1


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose peer may connect."""

    token: str
    certificate: bytes
    """The peer's, DER."""
    arrive: Callable[[LaneHello, LaneChannel, SocketAddress], None]
    """Takes a connection that is proven, with the peer's address, and says OK on it; raises `PeerMisbehaved` when
    there is no place for it."""


class LaneListener:
    """Listens from its making to its `close`.

    Args:
        identity: our certificate and its key.
        address: where to listen, port 0 for any free one; None: at every address of this machine, a free port.
        tuning: of the connections taken.

    Raises:
        StorageError: the address is in use or not ours.
    """

    def __init__(self, identity: LaneIdentity, address: SocketAddress | None, tuning: Tuning) -> None:
        self._identity = identity
        self._tuning = tuning
        self._lock = threading.Lock()
        self._expected: tuple[Expected, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._judging = 0
        self._waiting: deque[tuple[socket.socket, Deadline]] = deque()
        self._closed = threading.Event()
        self._socket = _listen(address)
        self.address = SocketAddress.of(self._socket.getsockname())
        """Where it listens, with the port that it got."""
        self._accepting = threading.Thread(target=self._accept, name="lane-listen", daemon=True)
        self._accepting.start()

    def expect(self, session: Expected) -> None:
        """From now on the peer of `session` may connect."""
        with self._lock:
            self._expected = (*self._expected, session)
            self._context = None

    def forget(self, session: Expected) -> None:
        """From now on the peer of `session` may not connect; its connections that stand go on."""
        with self._lock:
            self._expected = tuple(other for other in self._expected if other is not session)
            self._context = None

    def close(self) -> None:
        """Take no more connections."""
        self._closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._accepting.join()
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for sock, _ in waiting:
            sock.close()

    def _accept(self) -> None:
        with self._socket:
            while not self._closed.is_set():
                try:
                    sock, _ = self._socket.accept()
                except OSError:
                    self._closed.wait(_BREATH_SECONDS)  # a caller that is gone already, or no descriptor left
                    continue
                self._receive(sock)

    def _receive(self, sock: socket.socket) -> None:
        """Have a caller judged, or hang up on it where there is no place for it."""
        with self._lock:
            unknown = not self._expected or self._closed.is_set()
            if unknown or len(self._waiting) >= WAITING:
                sock.close()
                return
            self._waiting.append((sock, Deadline(JUDGING_SECONDS)))
            if self._judging >= JUDGED_AT_ONCE:
                return
            self._judging += 1
        threading.Thread(target=self._judge_waiting, name="lane-judge", daemon=True).start()

    def _judge_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._judging -= 1
                    return
                sock, deadline = self._waiting.popleft()
            if deadline.passed():
                sock.close()
                continue
            with suppress(TransferError, OSError):
                self._judge(sock, deadline)

    def _judge(self, sock: socket.socket, deadline: Deadline) -> None:
        """See whether it is a peer of ours, and hand the connection to its session."""
        stream = self._wrapped(sock)
        try:
            certificate = stream.shake_hands(deadline)
            channel = LaneChannel(stream)
            hello = parse_hello(_first_head(channel, deadline))
            session = self._session(hello.token, certificate)
            session.arrive(hello, channel, stream.peer)
        except BaseException:
            stream.close()
            raise

    def _session(self, token: str, certificate: bytes) -> Expected:
        for session in self._expected:
            if hmac.compare_digest(session.token, token) and hmac.compare_digest(session.certificate, certificate):
                return session
        raise PeerMisbehaved("a caller of the lane has no session")

    def _wrapped(self, sock: socket.socket) -> TlsStream:
        with sock:  # wrapped, it has handed its descriptor over
            prepare(sock, congestion=self._tuning.congestion)
            sock.setblocking(False)
            tls = self._current_context().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return TlsStream(tls, sending=self._tuning.sending, receiving=self._tuning.receiving)

    def _current_context(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = self._identity.listening(session.certificate for session in self._expected)
            return self._context


def _first_head(channel: LaneChannel, deadline: Deadline) -> JsonObject:
    frame = channel.receive(deadline.left(), limit=0)
    if frame is None:
        raise PeerMisbehaved("a caller of the lane said nothing")
    return frame[0]


def _listen(address: SocketAddress | None) -> socket.socket:
    """IPv4 and IPv6 at once where every address is meant."""
    try:
        if address is not None:
            at = str(address.ip), address.port
            return socket.create_server(at, family=family_of(address.ip), backlog=WAITING)
        with suppress(OSError):
            return socket.create_server(("", 0), family=socket.AF_INET6, backlog=WAITING, dualstack_ipv6=True)
        return socket.create_server(("", 0), backlog=WAITING)
    except OSError as problem:
        raise StorageError(
            f"cannot listen at `{address or '*'}`: {os.strerror(problem.errno or 0).lower()}",
            hint="choose another address with `--p2p-listen`, or go without the lane: `--lane iroh`",
        ) from problem
