"""One connection to a sender: handshake, heartbeat, its link and its lane as routes for requests.

Made anew for each attempt: after a lost connection nothing of the old one is trusted or used.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from msgspec import UNSET

from blixard.errors import PeerMisbehaved, PeerRefused, PeerUnreachable, TransferError
from blixard.peer.fetch.options import Fetch
from blixard.peer.fetch.route import Route
from blixard.peer.fetch.wanted import AskedSender
from blixard.peer.optional_lane import begin_lane, offered_lane
from blixard.peer.pace.deadline import Deadline
from blixard.peer.pace.patience import TooSlow
from blixard.peer.ports import Channel, Lane, Link
from blixard.peer.wire import protocol
from blixard.peer.wire.control import Control
from blixard.peer.wire.protocol import Refusal, head
from blixard.peer.wire.states import FROM_SERVER, Incoming, State

_STOOD_SECONDS = 30.0
"""A connection that stood so long was a good one, when nothing was asked of it in vain."""
_GOOD_BYTES = 64 << 10
"""One that brought so much was, too; less could be a peer that feeds us crumbs."""
_PARTING_SECONDS = 2.0
"""How long the sender has to end a session that we have finished."""
_ASK_AGAIN = "ask the sender for a new ticket"
_REFUSALS = {
    Refusal.SECRET: ("the sender does not know this ticket any more", _ASK_AGAIN),
    Refusal.EXPIRED: ("the ticket has expired, by the sender's clock", _ASK_AGAIN),
    Refusal.USED: ("the ticket is used up: others have fetched with it", _ASK_AGAIN),
    Refusal.NOT_ALLOWED: (
        "the sender serves only the nodes on its list, and this is not one of them",
        "give the sender the id that `blixard peer id` prints",
    ),
    Refusal.BUSY: ("the sender has too many receivers at once", "try again later"),
    Refusal.STOPPED: ("the sender has ended the share", _ASK_AGAIN),
    Refusal.VERSION: ("the sender speaks another version of the protocol", "update the older of the two programs"),
}


class Connection:
    """A session with a sender. `open`, then `stay` in the same thread; `close` from any."""

    def __init__(self, fetch: Fetch, sender: AskedSender) -> None:
        self.sender = sender
        self.document_size = 0
        self.round_trip = 0.0
        """Seconds that the sender took for its answer to our proof."""
        self.began = time.monotonic()
        self.told_done = threading.Event()
        """Set when the sender has counted that we have all, and when the connection has ended."""
        self.failure: TransferError | None = None
        """Why it was ended, when something that was asked of it did not come, or came wrong."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._closed = False
        self._link: Link | None = None
        self._lane: Lane | None = None
        self._control: Control | None = None
        self._routes: list[Route] = []
        self._lane_routes: list[Route] = []
        self._brought_bytes = 0

    @property
    def link(self) -> Link:
        """The session's own link; there after `open`."""
        if self._link is None:
            raise PeerUnreachable("not connected")
        return self._link

    @property
    def closed(self) -> bool:
        """True when nothing more can be asked of it."""
        return self._closed

    @property
    def has_lane(self) -> bool:
        """True while a direct link stands."""
        return bool(self._lane_routes)

    @property
    def links(self) -> int:
        """How many links to the sender stand now: the session's own, and those of its lane."""
        return len(self._routes) + len(self._lane_routes)

    @property
    def was_good(self) -> bool:
        """True when it brought something, or stood for long: a loss is then the first of its kind."""
        brought = self._brought_bytes + sum(route.received for route in self._routes)
        stood = time.monotonic() - self.began > _STOOD_SECONDS
        return brought >= _GOOD_BYTES or (stood and self.failure is None)

    def open(self, timeout: float) -> None:
        """Connect and prove that we hold the ticket.

        Raises:
            PeerUnreachable: nobody answers; may be tried again.
            PeerRefused: the sender serves us nothing.
            PeerMisbehaved: it is not a sender, or serves another document than the ticket says.
            TransferError: it cannot work: an address that makes no sense, another version.
        """
        deadline = Deadline(timeout)
        ticket = self.sender.ticket
        link = self._fetch.endpoint.connect(ticket.peer_id, ticket.addresses, ticket.relay, deadline.left())
        with self._lock:
            self._link = link
            closed = self._closed
        if closed:
            link.close()
            raise TransferError("the fetch was stopped")
        if link.remote_id != ticket.peer_id:
            raise PeerMisbehaved("somebody else answers at the sender's address")
        self._shake_hands(link.open(deadline.left()), deadline)

    def stay(self) -> None:
        """Ask over the link, and over a lane when there is one, until the connection is lost or closed.

        Raises:
            TransferError: why it ended; after `close` it only says that, and `failure` may know more.
        """
        control = self._control
        if control is None:
            raise PeerUnreachable("not connected")
        self._fetch.threads.spawn("heartbeat", control.beat)
        route = Route(self._fetch, self.link, self)
        with self._lock:
            self._routes.append(route)
        route.start(self._fetch.options.channels, most=0)
        self._fetch.tell()
        while (message := control.listen()) is not None:
            if isinstance(message, protocol.Bye):
                self.told_done.set()
            elif isinstance(message, protocol.Refused):
                raise _refused(message)

    def brought(self, size: int) -> None:
        """Count bytes of the document that came over it."""
        self._brought_bytes += size

    def fail(self, problem: TransferError) -> None:
        """End it because what was asked of it did not come, or was wrong."""
        if self.failure is None or isinstance(problem, TooSlow):
            self.failure = problem  # that it is too slow is what the sender must know
        if isinstance(problem, PeerMisbehaved):
            self.sender.drop(problem)
        self.close()

    def say_done(self, timeout: float) -> None:
        """Tell the sender that we have all, and wait until it has counted that, or the time passed.

        Raises:
            TransferError: it cannot be told.
        """
        if self._control is not None:
            self._control.say(protocol.Done())
            self.told_done.wait(timeout)

    def retire(self) -> None:
        """End it because it is not needed: what was under way is wanted again, and the sender told that we leave."""
        with self._lock:
            closed, self._closed = self._closed, True
            routes = self._routes + self._lane_routes
        if closed:
            return
        for route in routes:
            route.retire()
        self._fetch.tell()
        self._fetch.threads.spawn("parting", self._part)

    def may_ask(self, route: Route) -> bool:
        """As `RoutedConnection.may_ask`: a lane always, the session's own link while no lane to the sender stands."""
        return route in self._lane_routes or not self.sender.has_lane

    def route_lost(self, route: Route, problem: TransferError) -> None:
        """As `RoutedConnection.route_lost`: the session goes with its own link, and goes on without a lane."""
        with self._lock:
            is_lane = route in self._lane_routes
            if is_lane:
                self._lane_routes.remove(route)
                self._brought_bytes += route.received
        route.close()
        if isinstance(problem, PeerMisbehaved) or not is_lane:
            self.fail(problem)
        elif route.received >= self._fetch.options.lane_worth_bytes:
            self._fetch.threads.spawn("lane-again", self._lane_again)
        self._fetch.tell()

    def close(self) -> None:
        """End it and all that it began."""
        with self._lock:
            self._closed = True
            routes = self._routes + self._lane_routes
            self._brought_bytes += sum(route.received for route in self._routes)
            self._routes, self._lane_routes = [], []
        if self._control is not None:
            self._control.close()
        if self._lane is not None:
            self._lane.close()
        for route in routes:
            route.close()
        if self._link is not None:
            self._link.close()
        self.told_done.set()
        self._fetch.tell()

    def _shake_hands(self, channel: Channel, deadline: Deadline) -> None:
        fetch, ticket, link = self._fetch, self.sender.ticket, self.link
        incoming = Incoming(FROM_SERVER, State.HELLO)
        hello = _heard(incoming, channel, deadline)
        protocol.check_hello(hello)
        proof = protocol.prove(ticket.secret, client_id=link.local_id, server_id=link.remote_id, nonce=hello.nonce)
        self._lane, offer = offered_lane(fetch.lanes, link)
        proven = time.monotonic()
        channel.send(head(protocol.ClientHello(proof, lane=offer)))
        welcome = _heard(incoming, channel, deadline)
        self.round_trip = time.monotonic() - proven
        if welcome.document != ticket.document:
            raise PeerMisbehaved("the sender serves another document than the ticket names")
        self.document_size = welcome.document_size
        options = fetch.options
        self._control = Control(channel, incoming, every=options.ping_seconds, lost=options.lost_seconds)
        if self._lane is not None and welcome.lane is not UNSET:
            begin_lane(self._lane, welcome.lane, self._lane_link)

    def _part(self) -> None:
        """Finish the control channel; the sender then ends the session as a good one."""
        if self._control is not None:
            with suppress(TransferError):
                self._control.finish()
                self.told_done.wait(_PARTING_SECONDS)
        self.close()

    def _lane_link(self, link: Link) -> None:
        """Ask over a direct link that stands now; the session's own link waits meanwhile."""
        route = Route(self._fetch, link, self)
        with self._lock:
            if self._closed:
                link.close()
                return
            self._lane_routes.append(route)
        route.start(1, most=self._fetch.options.lane_channels)
        self._fetch.tell()
        self._fetch.threads.spawn("hand-over", self._hand_over)

    def _hand_over(self) -> None:
        """Ask the lane for what the session's link has not brought a moment after the lane stood.

        On a path with delay and loss that link brings 150 KB/s and the lane a hundred times as much: the first
        requests, 8 MiB, held a whole transfer up for 40 s.
        """
        if self._fetch.stopped.wait(self._fetch.options.hand_over_seconds):
            return
        with self._lock:
            routes = self._routes if self._lane_routes else []
        for route in routes:
            route.hand_over()

    def _lane_again(self) -> None:
        """End the session when its lane broke and more is wanted: the next session makes another lane.

        Not at once: a sender that stops lets go of the lane first, and says so on the session's link next.
        """
        if self._fetch.stopped.wait(self._fetch.options.lane_again_seconds):
            return
        if not self._closed and not self.sender.has_lane and self._fetch.wanted.outstanding:
            self.fail(PeerUnreachable("the lane was lost"))


def _heard(incoming: Incoming, channel: Channel, deadline: Deadline) -> Any:
    """The next message of the handshake; raises what the sender refuses with."""
    message = incoming.message(channel.receive(deadline.left(), limit=0))
    if message is None:
        raise PeerUnreachable("the sender closed the connection")
    if isinstance(message, protocol.Refused):
        raise _refused(message)
    return message


def _refused(message: protocol.Refused) -> PeerRefused:
    # the text is ours: a peer's may be anything
    try:
        code = Refusal(message.code)
    except ValueError:
        return PeerRefused("unknown", "the sender refuses to serve this node", hint=_ASK_AGAIN)
    text, hint = _REFUSALS[code]
    return PeerRefused(code.value, text, hint=hint)
