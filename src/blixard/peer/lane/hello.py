"""The first messages on a connection of a lane: one from the dialler, one from the listener.

The dialler names the session by the listener's token; the listener, which has its certificate by then, answers with
the dialler's nonce or hangs up without a word. So an answer proves that the listener has read the token, and nothing is
asked before it.

    dialler   {"type": "lane", "token", "nonce"}                      the first connection: the lane itself
              {"type": "channel", "token", "nonce", "lane", "opener"}     one more; `lane` is the first one's nonce
    listener  {"type": "lane-ok", "nonce"}
"""

from __future__ import annotations

import hmac
from typing import Literal

import msgspec

from blixard.errors import PeerMisbehaved
from blixard.model.structs import JsonObject
from blixard.peer.lane.offer import Token, new_token
from blixard.peer.wire.protocol import Message, head, understood

Opener = Literal["dialler", "listener"]


class LaneHello(Message, frozen=True, kw_only=True, tag="lane"):
    """What a dialler says on the first connection of a lane."""

    token: Token
    nonce: Token = msgspec.field(default_factory=new_token)


class ChannelHello(LaneHello, frozen=True, kw_only=True, tag="channel"):
    """What a dialler says on each further connection."""

    lane: Token
    """The lane that this connection is a channel of, by the nonce of its hello."""
    opener: Opener
    """Who opened the channel; a listener asks the dialler to dial for it."""


class LaneOk(Message, frozen=True, tag="lane-ok"):
    """What the listener answers to a hello with its token."""

    nonce: Token


def parse_hello(said: JsonObject) -> LaneHello:
    """The dialler's first message.

    Raises:
        PeerMisbehaved: it is something else.
    """
    hello: LaneHello = understood(said, LaneHello | ChannelHello)
    return hello


def answer(hello: LaneHello) -> JsonObject:
    """The head of the listener's answer."""
    return head(LaneOk(hello.nonce))


def check_answer(hello: LaneHello, said: JsonObject) -> None:
    """See that the listener read our hello.

    Raises:
        PeerMisbehaved: the answer is none, or to another hello.
    """
    if not hmac.compare_digest(understood(said, LaneOk).nonce, hello.nonce):
        raise PeerMisbehaved("the peer's lane did not answer our token")
