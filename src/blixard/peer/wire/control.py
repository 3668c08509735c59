"""The control channel after the handshake: sends a heartbeat, receives messages, and notices when the peer is silent.

The transport finds out about a dead peer after 30 s only (research/p2p-anchors.md section 4), so both sides say `ping`
every 2 s, and 10 s without a word are a lost connection.
"""

from __future__ import annotations

import threading
import time

from blixard.errors import PeerMisbehaved, TransferError
from blixard.peer.ports import Channel
from blixard.peer.wire.protocol import LOST_SECONDS, PING_SECONDS, Message, Ping, head
from blixard.peer.wire.states import Incoming

_CHATTER = 50
"""Most messages that we take in the time of one heartbeat: an honest peer sends one."""


class Control:
    """One side of a control channel.

    Args:
        incoming: what the peer may send, from the end of the handshake on.
        every: seconds between our pings.
        lost: seconds of silence that end it.
    """

    def __init__(
        self, channel: Channel, incoming: Incoming, *, every: float = PING_SECONDS, lost: float = LOST_SECONDS
    ) -> None:
        self._channel = channel
        self._incoming = incoming
        self._every = every
        self._lost = lost
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._since = time.monotonic()
        self._heard = 0

    def beat(self) -> None:
        """Say `ping` until it is closed; to be run in a thread of its own."""
        while not self._ended.wait(self._every):
            try:
                self.say(Ping())
            except TransferError:
                return  # `listen` finds out by itself

    def say(self, message: Message) -> None:
        """Send a message; from any thread.

        Raises:
            TransferError: it cannot be said any more.
        """
        with self._sending:
            self._channel.send(head(message))

    def listen(self) -> Message | None:
        """The next message that is not a ping; None when the peer has finished.

        Raises:
            PeerUnreachable: silence, or the link is lost.
            PeerMisbehaved: not a message that the peer may send now, or a flood of them.
        """
        while True:
            frame = self._channel.receive(self._lost, limit=0)
            if frame is not None:
                self._count()
            message: Message | None = self._incoming.message(frame)
            if not isinstance(message, Ping):
                return message

    def finish(self) -> None:
        """Tell the peer that nothing more comes from us; waits as `Channel.finish`."""
        self._ended.set()
        with self._sending:
            self._channel.finish()

    def close(self) -> None:
        """End the channel; wakes everybody who waits on it."""
        self._ended.set()
        self._channel.close()

    def _count(self) -> None:
        now = time.monotonic()
        if now - self._since >= self._every:
            self._since, self._heard = now, 0
        self._heard += 1
        if self._heard > _CHATTER:
            raise PeerMisbehaved("the peer floods the control channel")
