"""What begins a direct lane: any bytes of a peer are an offer, a hello, an answer, or a misbehaving peer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from blixard.errors import PeerMisbehaved
from blixard.peer.lane.certificates import LaneIdentity
from blixard.peer.lane.hello import ChannelHello, LaneHello, answer, check_answer, parse_hello
from blixard.peer.lane.offer import LaneOffer, parse_offer
from blixard.peer.wire.frames import FrameReader, encode_frame
from blixard.peer.wire.protocol import head
from support.frames import fed

OURS = LaneHello(token=bytes(range(16)).hex(), nonce=bytes(range(16, 32)).hex())
CERTIFICATE = LaneIdentity().certificate

tokens = st.binary(min_size=16, max_size=16).map(bytes.hex)
offers = st.builds(
    LaneOffer,
    port=st.integers(1024, 65535),
    certificate=st.just(CERTIFICATE),
    token=tokens,
    addresses=st.lists(st.ip_addresses().map(str), max_size=16).map(tuple),
)
hellos = st.builds(LaneHello, token=tokens, nonce=tokens) | st.builds(
    ChannelHello, token=tokens, nonce=tokens, lane=tokens, opener=st.sampled_from(["dialler", "listener"])
)
words = st.sampled_from(
    ["lane", "channel", "lane-ok", "dialler", "listener", "use", "fd00:ec2::254%1", "::ffff:1.2.3.4"]
)
digits = st.text("0123456789abcdefABCDEF \n_x\N{ARABIC-INDIC DIGIT THREE}", min_size=30, max_size=34) | tokens
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 64) | st.text(max_size=80) | words | digits,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SAID: list[dict[str, Any]] = [
    head(OURS),
    head(ChannelHello(token=OURS.token, lane=OURS.nonce, opener="listener")),
    answer(OURS),
    msgspec.to_builtins(LaneOffer(port=40000, certificate=CERTIFICATE, token=OURS.token, addresses=("::1",))),
]


@st.composite
def bent(draw: st.DrawFn) -> dict[str, Any]:
    """Something that is said when a lane begins, with parts changed, left out, or of another message."""
    said = dict(draw(st.sampled_from(SAID)))
    for key in draw(st.lists(st.sampled_from(sorted({key for each in SAID for key in each})), max_size=3)):
        said.pop(key, None)
        if draw(st.booleans()):
            said[key] = draw(anything)
    return said


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame of that, with a few bytes changed."""
    frame = bytearray(b"".join(map(bytes, encode_frame(draw(bent())))))
    for _ in range(draw(st.integers(0, 3))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame)


def taken(parse: Callable[[Any], Any], said: Any) -> Any:
    """What it is, or None; any other error is what these tests are for."""
    try:
        return parse(said)
    except PeerMisbehaved:
        return None


def answered(hello: LaneHello, said: dict[str, Any]) -> bool:
    check_answer(hello, said)
    return True


def judge(said: Any) -> None:
    """A hello and an offer that are taken say the same again; an answer is taken with our nonce only."""
    offer = taken(parse_offer, said)
    assert offer is None or parse_offer(json.loads(json.dumps(msgspec.to_builtins(offer)))) == offer
    if not isinstance(said, dict):
        return  # a frame's head is an object
    hello = taken(parse_hello, said)
    assert hello is None or parse_hello(head(hello)) == hello
    assert hello is None or {len(hello.token), len(hello.nonce)} == {32}
    if taken(lambda said: answered(OURS, said), said):
        assert (said["type"], said["nonce"]) == ("lane-ok", OURS.nonce)


def judge_bytes(stream: bytes) -> None:
    """As they come over the connection, a frame at a time and a few bytes at a time."""
    for step in (7, len(stream) or 1):
        reader = FrameReader(limit=0)
        try:
            for at in range(0, len(stream), step):
                for said, _body in fed(reader, stream[at : at + step]):
                    judge(said)
        except PeerMisbehaved:
            continue


@settings(deadline=None)
@given(offers)
def test_an_offer_is_read_back_from_what_is_sent(offer: LaneOffer) -> None:
    unzoned = tuple(address for address in offer.addresses if "%" not in address)
    sendable = LaneOffer(port=offer.port, certificate=offer.certificate, token=offer.token, addresses=unzoned)

    assert parse_offer(json.loads(json.dumps(msgspec.to_builtins(sendable)))) == sendable


@given(hellos, hellos)
def test_a_hello_is_read_back_and_its_answer_is_for_it_alone(hello: LaneHello, other: LaneHello) -> None:
    assert parse_hello(json.loads(json.dumps(head(hello)))) == hello
    check_answer(hello, answer(hello))
    assert taken(lambda said: answered(other, said), answer(hello)) is (True if hello.nonce == other.nonce else None)


@settings(deadline=None)
@given(bent() | anything)
@example({**SAID[0], "token": "00 " * 10 + "00"})
@example({**SAID[3], "addresses": ["fd00:ec2::254%1"]})
@example({**SAID[2], "nonce": "\ud83d"})
def test_anything_that_is_said_is_taken_or_a_misbehaving_peer(said: Any) -> None:
    judge(said)


@settings(deadline=None)
@given(damaged() | st.binary(max_size=300))
def test_any_bytes_at_the_beginning_of_a_lane_are_taken_or_a_misbehaving_peer(stream: bytes) -> None:
    judge_bytes(stream)


@pytest.mark.long
@pytest.mark.parametrize("part", range(2))
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=bent() | anything, stream=damaged() | st.binary(max_size=2000))
def test_any_words_and_bytes_in_a_long_run(part: int, said: Any, stream: bytes) -> None:
    """In parts, so that they run beside each other; each draws its own."""
    judge(said)
    judge_bytes(stream)
