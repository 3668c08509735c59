"""One receiver's session on the serving side: handshake, heartbeat, requests.

Blocking code in a handful of threads: one for the control channel, one for the heartbeat, one for each link (the
session's own, and those of its lane) that takes channels, and one for each channel.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from msgspec import UNSET

from blixard.errors import PeerRefused, TransferError
from blixard.peer.optional_lane import begin_lane, offered_lane
from blixard.peer.pace.deadline import Deadline
from blixard.peer.ports import Channel, Lane, Link
from blixard.peer.share.answers import WORDS, Answers, Share
from blixard.peer.wire import protocol
from blixard.peer.wire.control import Control
from blixard.peer.wire.protocol import Refusal, head
from blixard.peer.wire.states import FROM_CLIENT, Incoming, State

_UNEXPECTED = "an unexpected error on this side"
_PARTING_SECONDS = 1.0
_LINKS = 8
"""Links of one session: its own and its lane's."""


Admit = Callable[["ServedConnection"], bool]


class ServedConnection:
    """A receiver's session from its first byte to its last. `run` in a thread; `close` from any."""

    def __init__(self, share: Share, link: Link) -> None:
        self.link = link
        self.proven = False
        """True once the peer has proven that it holds the ticket, and was let in."""
        self._share = share
        self._answers = Answers(share, link.remote_id, fail=self._fail, dismiss=self.dismiss)
        self._control: Control | None = None
        self._lane: Lane | None = None
        self._links = 0
        self._problem: str | None = None
        self._parting: Deadline | None = None

    @property
    def address(self) -> str:
        """Where the peer is seen; empty when only a relay knows."""
        return next(iter(self.link.remote_addresses), "")

    @property
    def idle_seconds(self) -> float:
        """How long it has asked for nothing; 0 while it is answered."""
        return self._answers.idle_seconds

    @property
    def parting(self) -> bool:
        """True when it was told to leave."""
        return self._parting is not None

    def run(self, admit: Admit) -> None:
        """Serve until the peer is done, lost, refused or misbehaves.

        Args:
            admit: told that the secret was proven; says whether there is room for the session, and counts it then.
        """
        try:
            control = self._shake_hands(admit)
        except TransferError:
            self.close()
            return
        share = self._share
        share.book.join(self.link.remote_id, self.address)
        self._control = control
        try:
            share.threads.spawn("heartbeat", control.beat, failed=self.broke)
            self._take_channels(self.link)
            self._listen(control)
        except TransferError as problem:
            self._problem = self._problem or problem.message
        except Exception:
            self._problem = self._problem or _UNEXPECTED
            raise
        finally:
            control.close()
            self.close("done" if self._problem is None else "")
            share.book.leave(self.link.remote_id, self._problem)

    def dismiss(self, code: Refusal) -> None:
        """Tell the peer that it is not served any more: it leaves by itself, and does not come back."""
        if self._control is None:
            return
        if code is not Refusal.STOPPED:
            self._share.book.witness.refused(self.link.remote_id, self.address, code.value)
        with suppress(TransferError):
            self._control.say(protocol.Refused(code.value, WORDS[code]))

    def part(self, why: str) -> None:
        """Tell the peer to leave; end it when this is said again and a second has passed. Does not wait."""
        if self._parting is None:
            self._parting = Deadline(_PARTING_SECONDS)
            self._problem = self._problem or why
            # a peer that takes nothing may stall the message: not in the caller's way
            self._share.threads.spawn("parting", lambda: self.dismiss(Refusal.STOPPED))
        elif self._parting.passed():
            self.close("stopped")

    def broke(self, problem: Exception) -> None:
        """End the session because a thread of it ended by an error of ours; the share goes on."""
        self._share.book.broke(problem)
        self._fail(_UNEXPECTED)

    def close(self, reason: str = "") -> None:
        """End it, whatever it does."""
        self._answers.close()
        if self._lane is not None:
            self._lane.close()
        self.link.close(reason)

    def _shake_hands(self, admit: Admit) -> Control:
        bounds, link = self._share.bounds, self.link
        deadline = Deadline(bounds.handshake_seconds)
        channel = link.accept(deadline.left())
        nonce = protocol.new_nonce()
        channel.send(head(protocol.ServerHello(nonce)))
        incoming = Incoming(FROM_CLIENT, State.HELLO)
        hello: protocol.ClientHello = incoming.message(channel.receive(deadline.left(), limit=0))
        self._judge(channel, hello, nonce)
        if not admit(self):
            self._refuse(channel, Refusal.BUSY)
        channel.send(head(self._welcome(hello)))
        if self._lane is not None and hello.lane is not UNSET:
            begin_lane(self._lane, hello.lane, self._take_channels)
        return Control(channel, incoming, every=bounds.ping_seconds, lost=bounds.lost_seconds)

    def _judge(self, channel: Channel, hello: protocol.ClientHello, nonce: str) -> None:
        link, admission = self.link, self._share.admission
        proven = protocol.proves(
            hello.proof, admission.terms.secret, client_id=link.remote_id, server_id=link.local_id, nonce=nonce
        )
        refusal = admission.judge(link.remote_id, proven=proven)
        if refusal is not None:
            self._refuse(channel, refusal)
        try:
            protocol.check_hello(hello)
        except TransferError:
            self._refuse(channel, Refusal.VERSION)

    def _refuse(self, channel: Channel, code: Refusal) -> None:
        """Tell the peer why it is refused, and raise the same."""
        self._share.book.witness.refused(self.link.remote_id, self.address, code.value)
        channel.send(head(protocol.Refused(code.value, WORDS[code])))
        channel.finish()
        raise PeerRefused(code.value, f"refused a receiver: {WORDS[code]}")

    def _welcome(self, hello: protocol.ClientHello) -> protocol.Welcome:
        share = self._share
        self._lane, offer = offered_lane(share.lanes if hello.lane is not UNSET else None, self.link)
        return protocol.Welcome(
            document=share.served.document,
            document_size=share.served.document_size,
            channels=share.bounds.channels,
            lane=offer,
        )

    def _listen(self, control: Control) -> None:
        while (message := control.listen()) is not None:
            if isinstance(message, protocol.Done):
                self._share.admission.complete(self.link.remote_id)
                self._share.book.complete(self.link.remote_id)
                control.say(protocol.Bye())

    def _take_channels(self, link: Link) -> None:
        """Serve the channels that the peer opens on this link, in a thread."""
        self._links += 1
        spawn = self._share.threads.spawn
        if self._links > _LINKS or not spawn("link", lambda: self._accept(link), failed=self.broke):
            link.close("enough")

    def _accept(self, link: Link) -> None:
        spawn, serve = self._share.threads.spawn, self._answers.serve
        try:
            while True:
                channel = link.accept(None)
                self._answers.wait_for_slot()
                if not spawn("channel", partial(serve, channel, link.kind), failed=self.broke):
                    break
        except TransferError:
            pass  # lost or closed; the session notices by its control channel when it was its own link
        link.close()

    def _fail(self, problem: str, reason: str = "") -> None:
        self._problem = problem
        self.close(reason)
