"""Which message may come when: one table of states for each side's messages, as h11 has it.

Pure: no socket, no clock. Whoever receives on a channel holds what comes against the table of the other side, so that
an order of messages is allowed or refused in one place. The two sides of a control channel speak independently after
the handshake, so each side's messages have a table of their own. What a message may say (sizes, digests, the proof) is
judged by its struct (`protocol.py`) and by whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any

from blixard.errors import PeerMisbehaved
from blixard.peer.ports import Frame
from blixard.peer.wire.protocol import (
    Bye,
    ClientHello,
    DocumentSent,
    Done,
    GetDocument,
    GetRecords,
    Message,
    Missing,
    Part,
    Ping,
    RecordFrame,
    Refused,
    ServerHello,
    Welcome,
    understood,
)


class State(StrEnum):
    """What the peer is to say next on a channel."""

    HELLO = "hello"
    """Control channel: its first message."""
    VERDICT = "verdict"
    """Control channel: whether our proof was good. Only a server is here."""
    STANDING = "standing"
    """Control channel: the session stands."""
    REQUEST = "request"
    """Request channel: what the client asks for. It may ask again before the answer is complete."""
    DOCUMENT = "document"
    """Request channel: the server's answer to a request for the document."""
    RECORDS = "records"
    """Request channel: the server's answers to requests for records."""
    OVER = "over"
    """Nothing more may come but the end."""


Table = Mapping[State, Mapping[type[Message] | None, State]]
"""The next state by what comes; None stands for the end of the channel."""

FROM_SERVER: Table = {
    State.HELLO: {ServerHello: State.VERDICT, Refused: State.OVER, None: State.OVER},
    State.VERDICT: {Welcome: State.STANDING, Refused: State.OVER, None: State.OVER},
    State.STANDING: {Ping: State.STANDING, Bye: State.STANDING, Refused: State.OVER, None: State.OVER},
    State.DOCUMENT: {Part: State.DOCUMENT, DocumentSent: State.OVER, None: State.OVER},
    State.RECORDS: {RecordFrame: State.RECORDS, Missing: State.OVER, None: State.OVER},
    State.OVER: {None: State.OVER},
}
"""What a client may hear. A server may end a channel at any time, and is unreachable then; it does not misbehave."""
FROM_CLIENT: Table = {
    State.HELLO: {ClientHello: State.STANDING},
    State.STANDING: {Ping: State.STANDING, Done: State.STANDING, None: State.OVER},
    State.REQUEST: {GetDocument: State.REQUEST, GetRecords: State.REQUEST, None: State.OVER},
    State.OVER: {None: State.OVER},
}
"""What a server may hear. Whoever ends its control channel leaves, and had what it wanted."""


class Incoming:
    """What comes from the peer on one channel, held against its table. From one thread at a time.

    Args:
        table: of the peer's side.
        state: in which the channel begins.
    """

    def __init__(self, table: Table, state: State) -> None:
        self.state = state
        self._table = table
        self._kinds = _union(table[state])

    def message(self, frame: Frame | None) -> Any:
        """The message in the next frame; None when the peer ended the channel.

        Raises:
            PeerMisbehaved: it may not come now, or a field breaks its rule.
        """
        row = self._table[self.state]
        if frame is None:
            if None not in row:
                raise PeerMisbehaved("the peer ended a channel on which it has to say something")
            self._enter(row[None])
            return None
        if self._kinds is None:
            raise PeerMisbehaved("the peer sent a message on a channel that is over")
        message: Message = understood(frame[0], self._kinds)
        self._enter(row[type(message)])
        return message

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._kinds = _union(self._table[state])


def _union(row: Mapping[type[Message] | None, State]) -> Any:
    """The types of a row as one union for `understood`; None when nothing may come."""
    kinds = [kind for kind in row if kind is not None]
    return reduce(or_, kinds) if kinds else None
