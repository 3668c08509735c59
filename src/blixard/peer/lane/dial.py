"""Connect to a peer's lane: TCP, TLS with the pinned certificate, the token, and the peer's OK.

In TLS 1.3 a client's handshake ends before the server has judged its certificate; only the OK says that it has.
"""

from __future__ import annotations

import socket

import msgspec

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.model.addresses import SocketAddress
from blixard.peer.lane.certificates import LaneIdentity
from blixard.peer.lane.channel import LaneChannel
from blixard.peer.lane.hello import LaneHello, check_answer
from blixard.peer.lane.tcp import prepare
from blixard.peer.lane.tls import LOST, TlsStream
from blixard.peer.pace.deadline import Deadline
from blixard.peer.pace.rate import UNLIMITED, RateLimit
from blixard.peer.wire.addresses import family_of
from blixard.peer.wire.protocol import head

ANSWER_SECONDS = 5.0
"""A peer on a network of ours answers in milliseconds."""


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """How connections of a lane are made."""

    sending: RateLimit = UNLIMITED
    receiving: RateLimit = UNLIMITED
    congestion: bytes | None = b"bbr"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Dials one peer: who we are to it, and what it has told us of itself."""

    identity: LaneIdentity
    certificate: bytes
    """The peer's, DER."""
    token: str
    """The peer's name for our session."""
    tuning: Tuning

    def dial(self, address: SocketAddress, hello: LaneHello, deadline: Deadline) -> LaneChannel:
        """Make a connection to which the peer has said `lane-ok`.

        Raises:
            PeerUnreachable: nobody there, somebody else, or not in time.
            PeerMisbehaved: it is the peer, and it does not answer as it must.
        """
        stream = self._connect(address, deadline)
        try:
            if stream.shake_hands(deadline) != self.certificate:
                raise PeerMisbehaved("the peer's lane has another certificate")
            channel = LaneChannel(stream)
            channel.send(head(hello))
            said = channel.receive(deadline.left(), limit=0)
            if said is None:
                raise PeerMisbehaved("the peer's lane ended without an answer")
            check_answer(hello, said[0])
        except TransferError:
            stream.close()
            raise
        return channel

    def _connect(self, address: SocketAddress, deadline: Deadline) -> TlsStream:
        context = self.identity.dialing(self.certificate)
        sock = socket.socket(family_of(address.ip), socket.SOCK_STREAM)
        try:
            prepare(sock, congestion=self.tuning.congestion)
            sock.settimeout(max(0.001, deadline.left() or 0))
            sock.connect((str(address.ip), address.port))
            sock.setblocking(False)
            tls = context.wrap_socket(sock, do_handshake_on_connect=False)
        except OSError as problem:
            raise PeerUnreachable(LOST) from problem
        finally:
            sock.close()  # wrapped, it has handed its descriptor over
        return TlsStream(tls, sending=self.tuning.sending, receiving=self.tuning.receiving)
