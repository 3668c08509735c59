"""A share: takes links, lets those in that hold the ticket, and gives them the document.

Everything that a peer can make us hold (connections, threads, bytes, time) has a bound in `Bounds`, and nothing but a
nonce leaves before the proof. `stop` ends every thread that `serve` began.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from blixard.peer.pace.budget import Budget, Portions
from blixard.peer.pace.deadline import Deadline
from blixard.peer.pace.threads import Threads
from blixard.peer.ports import LaneMaker, Link, Listener, ServedDocument
from blixard.peer.share.admission import Admission, Terms
from blixard.peer.share.answers import Bounds, Share
from blixard.peer.share.parting import Parting
from blixard.peer.share.receivers import Book, Receiver, Witness
from blixard.peer.share.session import ServedConnection
from blixard.peer.wire.protocol import Refusal

_PARTING_SECONDS = 1.0


class Server:
    """Serves one document under one ticket's terms, on any number of listeners.

    Args:
        served: what is served; outlives the server.
        terms: the secret, and who may come, how often and until when.
        now: the sender's clock, which alone judges expiry.
        witness: told of every receiver.
        monotonic: seconds, by which a receiver is measured that stays when the share is over.
        lanes: makes the direct lane of a session; None: there is none.
        changed: notified whenever a session has ended, for whoever watches.
    """

    def __init__(
        self,
        served: ServedDocument,
        terms: Terms,
        *,
        now: Callable[[], datetime],
        witness: Witness,
        bounds: Bounds | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        lanes: LaneMaker | None = None,
        changed: threading.Condition | None = None,
    ) -> None:
        bounds = bounds or Bounds()
        self._admission = Admission(terms, now)
        self._book = Book(witness, now)
        self._threads = Threads("share", failed=self._book.broke)
        self._share = Share(
            served=served,
            admission=self._admission,
            bounds=bounds,
            book=self._book,
            budget=Budget(bounds.bytes_in_flight),
            portions=Portions(bounds.receiver_bytes_in_flight),
            threads=self._threads,
            lanes=lanes,
        )
        self._parting = Parting(
            served.share_bytes, bounds.receiver_bytes_in_flight, bounds.parting_idle_seconds, monotonic
        )
        self._changed = changed or threading.Condition()
        self._listeners: list[Listener] = []
        self._sessions: dict[ServedConnection, None] = {}
        """Those that stand, the longest standing first."""
        self._stopped = False

    def serve(self, listener: Listener) -> None:
        """Take links from there, in threads, until `stop`, which closes the listener. Returns at once."""
        with self._changed:
            self._listeners.append(listener)
        if not self._threads.spawn("listener", lambda: self._take_links(listener)):
            listener.close()

    def wait(self, timeout: float | None) -> bool:
        """Wait until every use is complete and its receiver gone; False when the time passed or it was stopped."""
        deadline = Deadline(timeout)
        with self._changed:
            while not self._stopped and not (self._admission.used_up and not self._served()):
                if deadline.passed():
                    return False
                self._changed.wait(deadline.left())
            return not self._stopped

    def end_overdue(self) -> None:
        """End sessions that ask for nothing for long and, once the share is over, receivers that hold it open.

        To be called again and again while it serves; does not wait. Who may stay how long once it is over:
        `parting.py`. A receiver is judged by all its sessions then: telling one of them to leave sends all away.
        """
        over = self._admission.over
        with self._changed:
            sessions = [session for session in self._sessions if session.proven]
        leaving = self._overdue(sessions) if over else {}
        for session in sessions:
            why = leaving.get(session.link.remote_id)
            if why is not None or session.parting:
                session.part(why or "")
            elif 0 < session.idle_seconds >= self._share.bounds.session_idle_seconds:
                session.close("idle")

    def _overdue(self, sessions: list[ServedConnection]) -> dict[str, str]:
        """Receivers that have to leave now that the share is over, by endpoint id, and why each has to."""
        idle: dict[str, float] = {}
        for session in sessions:
            peer_id = session.link.remote_id
            idle[peer_id] = min(session.idle_seconds, idle.get(peer_id, session.idle_seconds))
        leaving = {}
        for receiver in self.receivers():
            if receiver.id in idle:
                why = self._parting.overdue(receiver, idle[receiver.id], self._share.budget.largest)
                if why is not None:
                    self._admission.send_away(receiver.id)
                    leaving[receiver.id] = why
        return leaving

    def stop(self) -> None:
        """Tell every receiver, end every session and thread. Not from a thread of the server."""
        with self._changed:
            self._stopped = True
            sessions = list(self._sessions)
            self._changed.notify_all()
        for listener in self._listeners:
            listener.close()
        for session in sessions:
            session.dismiss(Refusal.STOPPED)
        with self._changed:
            # whoever understands leaves at once; the message would be lost if we were faster
            self._changed.wait_for(lambda: not self._served(), _PARTING_SECONDS)
        self._share.budget.close()
        for session in sessions:
            session.close("stopped")
        self._threads.join()

    def receivers(self) -> tuple[Receiver, ...]:
        """Everybody who was let in so far."""
        return self._book.all()

    @property
    def completed(self) -> int:
        """Receivers that have got all they wanted."""
        return self._admission.completed

    @property
    def sessions(self) -> int:
        """Connections that stand, those of strangers included."""
        return len(self._sessions)

    @property
    def held_bytes(self) -> int:
        """Bytes of frames that were read and that no receiver has taken yet."""
        return self._share.budget.held

    @property
    def held_for(self) -> int:
        """Receivers for which room is kept for such frames."""
        return len(self._share.portions)

    def _served(self) -> bool:
        """Whether anybody is here who has proven itself; called under the lock."""
        return any(session.proven for session in self._sessions)

    def _take_links(self, listener: Listener) -> None:
        while (link := listener.accept(None)) is not None:
            session = self._placed(link)
            if session is None:
                link.close("stopped")
            elif not self._threads.spawn("session", lambda session=session: self._run(session)):  # type: ignore[misc]
                session.close("stopped")

    def _placed(self, link: Link) -> ServedConnection | None:
        """A session for the link, registered; None when the server was stopped."""
        bounds = self._share.bounds
        with self._changed:
            if self._stopped:
                return None
            strangers = [session for session in self._sessions if not session.proven]
            session = ServedConnection(self._share, link)
            self._sessions[session] = None
            oldest = strangers[0] if len(strangers) >= bounds.strangers else None
            if oldest is not None:
                del self._sessions[oldest]
        if oldest is not None:
            # whoever means it proves itself within a round trip: a flood cannot keep the others out
            oldest.close("busy")
        return session

    def _run(self, session: ServedConnection) -> None:
        try:
            session.run(self._admit)
        finally:
            session.close()  # also when it was not prepared for what went wrong
            with self._changed:
                self._sessions.pop(session, None)
                self._changed.notify_all()

    def _admit(self, session: ServedConnection) -> bool:
        """Whether there is room for a stranger that has proven itself (`session.Admit`)."""
        with self._changed:
            standing = Counter(other.link.remote_id for other in self._sessions if other.proven)
            session.proven = session in self._sessions and self._share.bounds.room_for(session.link.remote_id, standing)
            return session.proven
