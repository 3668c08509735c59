"""Words for peers that say anything at any time, and what the tables of states make of each."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec import Struct

from blixard.model.structs import JsonObject
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import Message, head
from blixard.peer.wire.states import State, Table

NO_SENSE = "the peer sent a message (that makes no sense here|without a type)"
DIGEST = "d1" * 32


class Word(Struct, frozen=True):
    """The head of a frame, and the message that it is; None: it is none at all."""

    head: JsonObject
    kind: type[Message] | None

    def allowed(self, table: Table, state: State) -> bool:
        return self.kind is not None and self.kind in table[state]


def word(message: Message) -> Word:
    return Word(head(message), type(message))


MESSAGES = [
    protocol.ServerHello("00" * 32),
    protocol.ClientHello("00" * 32),
    protocol.Welcome(DIGEST, 1000, 16),
    protocol.Refused("used"),
    protocol.Ping(),
    protocol.Done(),
    protocol.Bye(),
    protocol.GetDocument(0),
    protocol.Part(),
    protocol.DocumentSent(),
    protocol.GetRecords((DIGEST,)),
    protocol.RecordFrame(DIGEST, 0),
    protocol.Missing(DIGEST),
]
NO_MESSAGES: list[JsonObject] = [
    {},
    {"type": 7},
    {"proof": "00" * 32},
    {"type": "format-your-disk"},
    {"type": "hello"},
    {"type": "hello", "proof": "00", "nonce": "00"},
    {"type": "welcome", "document": DIGEST, "document_size": -1, "channels": 0},
    {"type": "refused", "code": "x" * 33},
    {"type": "document", "offset": -1},
    {"type": "records", "digests": []},
    {"type": "records", "digests": [DIGEST] * (protocol.BATCH + 1)},
    {"type": "record", "blake3": DIGEST, "length": -1},
    {"type": "missing"},
]
WORDS = [word(message) for message in MESSAGES] + [Word(each, None) for each in NO_MESSAGES]
seldom = st.sampled_from([False, False, False, True])
"""For what ends a session whatever came before: most of them shall get further."""


def words(table: Table, state: State) -> st.SearchStrategy[Word]:
    """Anything; more often than not something that may come now, so that a session gets further."""
    allowed = [each for each in WORDS if each.allowed(table, state)]
    return st.sampled_from(allowed) | st.sampled_from(allowed) | st.sampled_from(WORDS)


noise = st.sampled_from([b"\xff" * 8, b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2[]\0\0\0\0", b"\0\0\0\2{}\0\1\0\0"])
"""Bytes that are no frame where no body may be."""
