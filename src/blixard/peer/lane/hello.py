"""The first words on a connection of a lane, and who may say what when.

The dialler names the session by the listener's token; the listener, which has its certificate by then, answers with
the dialler's nonce or hangs up without a word. So an answer proves that the listener has read the token, and nothing is
asked before it.

    dialler   {"type": "lane", "token", "nonce"}                      the first connection: the lane itself
              {"type": "channel", "token", "nonce", "lane", "opener"}     one more; `lane` is the first one's nonce
    listener  {"type": "lane-ok", "nonce"}
"""

from __future__ import annotations

import hmac
import secrets
from typing import Literal

import msgspec

from blixard.errors import PeerMisbehaved
from blixard.model.structs import JsonObject
from blixard.peer.lane.offer import TOKEN_BYTES, parse_token

Opener = Literal["dialler", "listener"]


class LaneHello(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialler says."""

    token: bytes
    nonce: bytes = msgspec.field(default_factory=lambda: secrets.token_bytes(TOKEN_BYTES))
    lane: bytes | None = None
    """The lane that this connection is a channel of; None: it is a new lane."""
    opener: Opener = "dialler"
    """Who opened the channel; a listener asks the dialler to dial for it."""

    def to_json(self) -> JsonObject:
        """For a frame's head."""
        said: JsonObject = {"type": "lane", "token": self.token.hex(), "nonce": self.nonce.hex()}
        if self.lane is not None:
            said.update(type="channel", lane=self.lane.hex(), opener=self.opener)
        return said


def parse_hello(head: JsonObject) -> LaneHello:
    """The dialler's first words.

    Raises:
        PeerMisbehaved: they are something else.
    """
    kind = head.get("type")
    if kind not in ("lane", "channel"):
        raise PeerMisbehaved("the peer began a lane with something else")
    token, nonce = parse_token(head.get("token")), parse_token(head.get("nonce"))
    if kind == "lane":
        return LaneHello(token=token, nonce=nonce)
    opener = head.get("opener")
    if opener not in ("dialler", "listener"):
        raise PeerMisbehaved("the peer began a channel that nobody opened")
    return LaneHello(token=token, nonce=nonce, lane=parse_token(head.get("lane")), opener=opener)


def answer(hello: LaneHello) -> JsonObject:
    """What the listener says to a hello that it believes."""
    return {"type": "lane-ok", "nonce": hello.nonce.hex()}


def check_answer(hello: LaneHello, head: JsonObject) -> None:
    """See that the listener read our hello.

    Raises:
        PeerMisbehaved: it talks, but not to us.
    """
    nonce = head.get("nonce")
    told = isinstance(nonce, str) and nonce.isascii() and hmac.compare_digest(nonce, hello.nonce.hex())
    if head.get("type") != "lane-ok" or not told:
        raise PeerMisbehaved("the peer's lane did not answer our token")
