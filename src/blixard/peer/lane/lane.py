"""The direct lane of a session: offered, tried from both ends, and one of it chosen.

Both sides dial and both listen, because a firewall often lets one direction through. More than one connection may come
to stand; the side with the greater endpoint id takes the first it sees, tells the other on it, and drops the rest.
Whatever goes wrong means that there is no lane, and the peer learns no more than that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from blixard.errors import PeerMisbehaved, TransferError
from blixard.model.addresses import Ip, SocketAddress
from blixard.model.structs import JsonObject
from blixard.peer.lane.addresses import Surroundings, dialable, surroundings
from blixard.peer.lane.certificates import LaneIdentity
from blixard.peer.lane.channel import LaneChannel
from blixard.peer.lane.dial import ANSWER_SECONDS, Caller, Tuning
from blixard.peer.lane.hello import ChannelHello, LaneHello, Opener, answer
from blixard.peer.lane.link import Ends, LaneLink
from blixard.peer.lane.listen import Expected, LaneListener
from blixard.peer.lane.offer import OFFERED_ADDRESSES, LaneOffer, new_token, parse_offer
from blixard.peer.pace.deadline import Deadline
from blixard.peer.ports import Link

_TRIES = (0.0, 0.3, 1.0, 3.0)
"""Seconds before each try: at the first one the peer may not have our certificate yet."""
_CANDIDATES = 8
"""Lanes of one session that wait to be chosen, beyond which the peer only plays."""

Stands = Callable[[Link], None]


class LaneHost:
    """All lanes of this process: one certificate, one listening socket.

    Args:
        listen: as `LaneListener` takes it.
        advertise: address and port to tell peers instead of our own (a port that a firewall forwards to us).
        tuning: rates, shared with whatever else they are to count, and congestion control.
        around: our addresses and networks; found out when a peer says where it is.
        found: our addresses that others may know; None: those of `around`.

    Raises:
        StorageError: the address cannot be listened at.
    """

    def __init__(
        self,
        *,
        listen: SocketAddress | None = None,
        advertise: SocketAddress | None = None,
        tuning: Tuning | None = None,
        around: Callable[[], Surroundings] = surroundings,
        found: Callable[[], Sequence[Ip]] | None = None,
    ) -> None:
        self.tuning = tuning or Tuning()
        self.identity = LaneIdentity()
        self.listener = LaneListener(self.identity, listen, self.tuning)
        self.around = around
        self._found = found or (lambda: around().offered())
        self._advertise = advertise
        self._lock = threading.Lock()
        self._lanes: set[TcpLane] = set()

    def lane(self, link: Link) -> TcpLane:
        """A lane for the session on `link` (`ports.LaneMaker`)."""
        made = TcpLane(self, link)
        with self._lock:
            self._lanes.add(made)
        return made

    def where(self) -> tuple[tuple[Ip, ...], int]:
        """The addresses and the port that a peer may dial."""
        if self._advertise is not None:
            return (self._advertise.ip,), self._advertise.port
        own = self.listener.address
        return tuple(self._found()[:OFFERED_ADDRESSES]) if own.ip.is_unspecified else (own.ip,), own.port

    def forget(self, lane: TcpLane) -> None:
        """Hold a lane no longer, because it is closed."""
        with self._lock:
            self._lanes.discard(lane)

    def close(self) -> None:
        """End all lanes and the listening."""
        self.listener.close()
        with self._lock:
            lanes = tuple(self._lanes)
        for lane in lanes:
            lane.close()


class TcpLane:
    """As `ports.Lane`. `problem` says for people on this side why no lane came to stand."""

    def __init__(self, host: LaneHost, link: Link) -> None:
        self._host = host
        self._ends = Ends(link.local_id, link.remote_id)
        self._seen = link.remote_addresses
        self._token = new_token()
        self._lock = threading.Lock()
        self._expected: Expected | None = None
        self._candidates: dict[str, LaneLink] = {}
        """By the nonce of their first connection, which names a lane to both sides."""
        self._chosen: LaneLink | None = None
        self._stands: Stands | None = None
        self._closed = threading.Event()
        self.problem: str | None = None

    def offer(self) -> JsonObject:
        """As `Lane.offer`."""
        addresses, port = self._host.where()
        certificate = self._host.identity.certificate
        told = tuple(str(address) for address in addresses[:OFFERED_ADDRESSES])
        offer: JsonObject = msgspec.to_builtins(
            LaneOffer(port=port, certificate=certificate, token=self._token, addresses=told)
        )
        return offer

    def begin(self, theirs: JsonObject, stands: Stands) -> None:
        """As `Lane.begin`."""
        try:
            offer = parse_offer(theirs)
            targets = dialable(offer, self._seen, self._host.around)
        except TransferError as problem:
            self.problem = problem.message
            return
        with self._lock:
            if self._closed.is_set() or self._stands is not None:
                return
            self._stands = stands
            self._expected = Expected(token=self._token, certificate=offer.certificate, arrive=self._arrive)
            self._host.listener.expect(self._expected)
        caller = Caller(
            identity=self._host.identity, certificate=offer.certificate, token=offer.token, tuning=self._host.tuning
        )
        for target in targets:
            threading.Thread(target=self._try, args=(caller, target), name="lane-try", daemon=True).start()

    def close(self) -> None:
        """As `Lane.close`."""
        self._closed.set()
        with self._lock:
            links = tuple(self._candidates.values())
        if self._expected is not None:
            self._host.listener.forget(self._expected)
        for link in links:
            link.close()
        self._host.forget(self)

    def _try(self, caller: Caller, target: SocketAddress) -> None:
        for pause in _TRIES:
            if self._closed.wait(pause) or self._chosen is not None:
                return
            try:
                self._dial_lane(caller, target)
            except TransferError as problem:
                self.problem = problem.message
            else:
                return

    def _dial_lane(self, caller: Caller, target: SocketAddress) -> None:
        hello = LaneHello(token=caller.token)
        anchor = caller.dial(target, hello, Deadline(ANSWER_SECONDS))

        def dial(opener: Opener, deadline: Deadline) -> LaneChannel:
            one_more = ChannelHello(token=caller.token, lane=hello.nonce, opener=opener)
            return caller.dial(target, one_more, deadline)

        self._add(hello.nonce, LaneLink(self._ends, anchor, target, dial))

    def _arrive(self, hello: LaneHello, channel: LaneChannel, address: SocketAddress) -> None:
        """Take a connection that the listener has proven to be our peer's (`Expected.arrive`)."""
        if not isinstance(hello, ChannelHello):
            link = LaneLink(self._ends, channel, address, None)
            self._add(hello.nonce, link, before=lambda: channel.send(answer(hello)))
            return
        with self._lock:
            known = self._candidates.get(hello.lane)
        if known is None:
            raise PeerMisbehaved("a caller has a channel for a lane that is not there")
        channel.send(answer(hello))
        if not known.arrive(channel, hello.opener):
            raise PeerMisbehaved("a peer opened more connections than it may")

    def _add(self, nonce: str, link: LaneLink, before: Callable[[], None] | None = None) -> None:
        """Make a lane one of those to choose from; `before` runs when the peer can find it and nobody uses it yet."""
        with self._lock:
            self._candidates = {name: kept for name, kept in self._candidates.items() if kept.stands}
            full = len(self._candidates) >= _CANDIDATES or nonce in self._candidates or self._closed.is_set()
            if not full:
                self._candidates[nonce] = link
        if full:
            link.lose("there are too many lanes")
            raise PeerMisbehaved("there are too many lanes")
        if before is not None:
            before()
        link.watch(self._used)
        if self._ends.local_id > self._ends.remote_id:
            self._choose(link)

    def _choose(self, link: LaneLink) -> None:
        """As the side that chooses: use this lane, or close it when another is used."""
        if not self._take(link):
            link.close("another lane is used")
            return
        with suppress(TransferError):
            link.use()
            self._report(link)

    def _used(self, link: LaneLink) -> None:
        """Told that the peer says `use` on a lane: take it, where the peer is the side that chooses."""
        if self._ends.local_id < self._ends.remote_id and self._take(link):
            self._report(link)

    def _take(self, link: LaneLink) -> bool:
        with self._lock:
            if self._chosen is not None or self._closed.is_set():
                return False
            self._chosen = link
            return True

    def _report(self, link: LaneLink) -> None:
        """Say that the lane stands, in a thread: who is told may take its time, and the lane must go on meanwhile."""
        if self._stands is not None:
            threading.Thread(target=self._stands, args=(link,), name="lane-stands", daemon=True).start()
