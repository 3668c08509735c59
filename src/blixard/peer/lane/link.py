"""A lane as a link: one connection that is the lane itself, and one more for each channel.

The first connection, the anchor, carries no data. It says whether the lane stands, so that a cut or a dead path is
noticed by both sides whatever their channels do, and it lets the side that cannot dial ask for a channel.

    either side   {"type": "use"}       once, by the one of the two who chooses among lanes (lane.py)
    listener      {"type": "dial"}      dial a channel that I open
    either side   {"type": "close", "reason"}
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec

from blixard.errors import PeerUnreachable, TransferError
from blixard.model.addresses import SocketAddress
from blixard.model.structs import JsonObject
from blixard.peer.lane.channel import LaneChannel
from blixard.peer.lane.dial import ANSWER_SECONDS
from blixard.peer.lane.hello import Opener
from blixard.peer.lane.tls import LOST
from blixard.peer.pace.deadline import Deadline

CONNECTIONS = 16
"""Channels that each side may have open at once; four fill any path that was measured."""
_REASON_CHARS = 100

Dial = Callable[[Opener, Deadline], LaneChannel]


class Ends(msgspec.Struct, frozen=True):
    """Who is at the two ends: endpoint ids in hex, as the session's link has proven them."""

    local_id: str
    remote_id: str


class LaneLink:
    """As `ports.Link`.

    Args:
        ends: of the session that the lane belongs to.
        anchor: the first connection, agreed on.
        address: of the peer.
        dial: makes one more connection; None on the side that listens.
    """

    kind = "tcp"

    def __init__(self, ends: Ends, anchor: LaneChannel, address: SocketAddress, dial: Dial | None) -> None:
        self.local_id = ends.local_id
        self.remote_id = ends.remote_id
        self.remote_addresses = (str(address),)
        self._anchor = anchor
        self._dial = dial
        self._anchor_sending = threading.Lock()
        self._changed = threading.Condition()
        self._arrived: deque[LaneChannel] = deque()
        """Channels that the peer opened, to be accepted."""
        self._given: deque[LaneChannel] = deque()
        """Channels that the peer dialled because we asked for them."""
        self._channels: set[LaneChannel] = set()
        self._opening = 0
        self._lost: str | None = None
        self._reporting: Callable[[LaneLink], None] = _nobody

    @property
    def congestion(self) -> str:
        """The congestion control of its connections: `bbr`, `cubic`."""
        return self._anchor.congestion

    @property
    def stands(self) -> bool:
        """False once it is closed or lost."""
        return self._lost is None

    def watch(self, used: Callable[[LaneLink], None]) -> None:
        """Listen to the anchor in a thread of its own, until the lane ends; `used` is called at the peer's `use`."""
        self._reporting = used
        threading.Thread(target=self._watch, name="lane-watch", daemon=True).start()

    def use(self) -> None:
        """Tell the peer that this is the lane to use.

        Raises:
            PeerUnreachable: it is lost already.
        """
        self._tell({"type": "use"})

    def open(self, timeout: float | None) -> LaneChannel:
        """As `Link.open`; at most `CONNECTIONS` at once."""
        deadline = Deadline(timeout)
        with self._changed:
            self._check_stands()
            if len(self._channels) + self._opening >= CONNECTIONS:
                raise PeerUnreachable(f"the lane has {CONNECTIONS} connections in use already")
            self._opening += 1
        try:
            return self._keep(self._dial("dialler", deadline) if self._dial else self._ask(deadline))
        finally:
            with self._changed:
                self._opening -= 1

    def accept(self, timeout: float | None) -> LaneChannel:
        """As `Link.accept`."""
        return self._next(self._arrived, Deadline(timeout))

    def arrive(self, channel: LaneChannel, opener: Opener) -> bool:
        """Take one more connection that the peer has dialled; False when there is no place for it."""
        with self._changed:
            asked = opener == "listener"
            if self._lost is not None or (asked and len(self._given) >= self._opening):
                return False
            if not asked and len(self._channels) >= 2 * CONNECTIONS:
                return False
            (self._given if asked else self._arrived).append(channel)
            self._changed.notify_all()
        if not asked:
            self._keep(channel)
        return True

    def close(self, reason: str = "") -> None:
        """As `Link.close`."""
        if self._lost is None:
            with suppress(TransferError):
                self._tell({"type": "close", "reason": reason[:_REASON_CHARS]})
        self.lose("the lane is closed")

    def lose(self, why: str) -> None:
        """End it without a word to the peer; whoever waits on it is told `why`."""
        with self._changed:
            if self._lost is not None:
                return
            self._lost = why
            channels = {*self._channels, *self._arrived, *self._given}
            self._channels.clear()
            self._arrived.clear()
            self._given.clear()
            self._changed.notify_all()
        self._anchor.close()
        for channel in channels:
            channel.break_off(why)

    def _watch(self) -> None:
        try:
            while (frame := self._anchor.receive(None, limit=0)) is not None:
                if not self._heard(frame[0]):
                    return
        except TransferError:
            pass
        self.lose(LOST)

    def _heard(self, said: JsonObject) -> bool:
        """Act on one message of the anchor; False when it ended the lane."""
        kind = said.get("type")
        if kind == "use":
            self._reporting(self)
            self._reporting = _nobody
        elif kind == "dial" and self._dial is not None:
            self._dial_for_peer(self._dial)
        else:
            self.lose(_closing_words(said) if kind == "close" else "the peer broke the rules of the lane")
        return self._lost is None

    def _dial_for_peer(self, dial: Dial) -> None:
        with self._changed:
            if len(self._channels) + self._opening >= 2 * CONNECTIONS:
                return
            self._opening += 1
        threading.Thread(target=self._dial_and_deliver, args=(dial,), name="lane-dial", daemon=True).start()

    def _dial_and_deliver(self, dial: Dial) -> None:
        with suppress(TransferError):
            channel = self._keep(dial("listener", Deadline(ANSWER_SECONDS)))
            with self._changed:
                self._arrived.append(channel)
                self._changed.notify_all()
        with self._changed:
            self._opening -= 1

    def _ask(self, deadline: Deadline) -> LaneChannel:
        self._tell({"type": "dial"})
        return self._next(self._given, deadline)

    def _next(self, waiting: deque[LaneChannel], deadline: Deadline) -> LaneChannel:
        with self._changed:
            while not waiting:
                self._check_stands()
                left = deadline.left()
                if left == 0:
                    raise PeerUnreachable("the peer did not answer in time")
                self._changed.wait(left)
            return waiting.popleft()

    def _tell(self, head: JsonObject) -> None:
        with self._anchor_sending:
            self._anchor.send(head)

    def _keep(self, channel: LaneChannel) -> LaneChannel:
        with self._changed:
            lost = self._lost
            if lost is None:
                self._channels.add(channel)
        if lost is not None:
            channel.close()
            raise PeerUnreachable(lost)
        channel.when_gone(self._forget)
        return channel

    def _forget(self, channel: LaneChannel) -> None:
        with self._changed:
            self._channels.discard(channel)

    def _check_stands(self) -> None:
        if self._lost is not None:
            raise PeerUnreachable(self._lost)


def _nobody(_link: LaneLink) -> None:
    """Nobody waits for `use` any more."""


def _closing_words(said: JsonObject) -> str:
    reason = said.get("reason")
    if not isinstance(reason, str) or not reason.isascii() or not reason.isprintable() or not reason:
        return "the peer closed the lane"
    return f"the peer closed the lane: `{reason[:_REASON_CHARS]}`"
