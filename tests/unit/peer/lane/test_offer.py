from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from blixard.errors import PeerMisbehaved
from blixard.peer.lane.certificates import LaneIdentity
from blixard.peer.lane.hello import ChannelHello, LaneHello, answer, check_answer, parse_hello
from blixard.peer.lane.offer import LaneOffer, parse_offer
from blixard.peer.wire.frames import encode_frame
from blixard.peer.wire.protocol import head

CERTIFICATE = LaneIdentity().certificate
OFFER = LaneOffer(
    port=40000,
    certificate=CERTIFICATE,
    token=bytes(range(16)).hex(),
    addresses=("10.0.0.1", "fd00::1"),
)
STATED = msgspec.to_builtins(OFFER)


def test_what_begins_a_lane_is_the_same_bytes_as_ever() -> None:
    """Taken from a release: the other side may be of one."""
    token, nonce, lane = (bytes(range(at, at + 16)).hex() for at in (0, 16, 32))
    first = LaneHello(token=token, nonce=nonce)
    more = ChannelHello(token=token, nonce=nonce, lane=lane, opener="listener")
    offer = LaneOffer(port=40000, certificate=bytes([*range(250, 256), 0, 1]), token=token, addresses=OFFER.addresses)

    said = [b"".join(encode_frame(said)) for said in (head(first), head(more), answer(first))]

    assert said == [
        (
            b'\0\0\0\x65{"type":"lane","token":"000102030405060708090a0b0c0d0e0f",'
            b'"nonce":"101112131415161718191a1b1c1d1e1f"}\0\0\0\0'
        ),
        (
            b'\0\0\0\xa6{"type":"channel","token":"000102030405060708090a0b0c0d0e0f",'
            b'"nonce":"101112131415161718191a1b1c1d1e1f","lane":"202122232425262728292a2b2c2d2e2f",'
            b'"opener":"listener"}\0\0\0\0'
        ),
        b'\0\0\0\x3d{"type":"lane-ok","nonce":"101112131415161718191a1b1c1d1e1f"}\0\0\0\0',
    ]
    assert b"".join(encode_frame(msgspec.to_builtins(offer))) == (
        b'\0\0\0\x79{"port":40000,"certificate":"+vv8/f7/AAE=","token":"000102030405060708090a0b0c0d0e0f",'
        b'"addresses":["10.0.0.1","fd00::1"]}\0\0\0\0'
    )


def certificate(key: Any, *, padding: int = 0) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    builder = builder.not_valid_after(dt.datetime(2040, 1, 1, tzinfo=dt.UTC))
    if padding:
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, bytes(padding)), critical=False)
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.DER)).decode()


def test_an_offer_is_json_and_comes_back_as_it_was() -> None:
    assert parse_offer(json.loads(json.dumps(STATED))) == OFFER


def test_keys_of_later_versions_are_left_alone() -> None:
    assert parse_offer({**STATED, "quic": True}) == OFFER


def test_an_offer_does_not_show_its_token() -> None:
    assert OFFER.token not in repr(OFFER)
    assert repr(OFFER.token) not in repr(OFFER)


BROKEN: list[tuple[str, Any]] = [
    ("port", None),
    ("port", True),
    ("port", "40000"),
    ("port", 22),
    ("port", 1023),
    ("port", 65536),
    ("port", 1 << 70),
    ("certificate", 5),
    ("certificate", ""),
    ("certificate", "???"),
    ("certificate", base64.b64encode(CERTIFICATE[:-1]).decode()),
    ("certificate", base64.b64encode(CERTIFICATE + b"\0").decode()),
    ("certificate", base64.b64encode(CERTIFICATE + CERTIFICATE).decode()),
    ("certificate", base64.b64encode(bytes(2100)).decode()),
    ("certificate", "A" * 100_000),
    ("certificate", certificate(rsa.generate_private_key(65537, 2048))),
    ("certificate", certificate(ed25519.Ed25519PrivateKey.generate())),
    ("certificate", certificate(ec.generate_private_key(ec.SECP384R1()))),
    ("certificate", certificate(ec.generate_private_key(ec.SECP256R1()), padding=2048)),
    ("token", 5),
    ("token", "00" * 15),
    ("token", "00" * 17),
    ("token", "zz" * 16),
    ("token", "0 " * 16),
    ("token", "00 " * 10 + "00"),
    ("token", "00" * 16 + "\n"),
    ("token", "\N{ARABIC-INDIC DIGIT ONE}" * 32),
    ("addresses", None),
    ("addresses", "10.0.0.1"),
    ("addresses", {"a": 1}),
    ("addresses", ["10.0.0.1"] * 17),
    ("addresses", [5]),
    ("addresses", ["peer.example"]),
    ("addresses", ["localhost"]),
    ("addresses", ["10.1"]),
    ("addresses", ["0x7f000001"]),
    ("addresses", ["10.0.0.1/8"]),
    ("addresses", ["10.0.0.1:80"]),
    ("addresses", ["1" * 5000]),
    ("addresses", ["fd00:ec2::254%1"]),
    ("addresses", ["fe80::1%eth0"]),
    ("addresses", ["fd00::1%\0"]),
]


@pytest.mark.parametrize(("key", "value"), BROKEN, ids=[f"{key} {at}" for at, (key, _) in enumerate(BROKEN)])
def test_what_breaks_a_rule_is_refused(key: str, value: object) -> None:
    with pytest.raises(PeerMisbehaved):
        parse_offer({**STATED, key: value})


@pytest.mark.parametrize("key", ["port", "certificate", "token", "addresses"])
def test_an_offer_without_a_part_is_refused(key: str) -> None:
    with pytest.raises(PeerMisbehaved, match=key):
        parse_offer({name: value for name, value in STATED.items() if name != key})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)  # a busy machine is no finding
@given(st.sampled_from(sorted(STATED)), ANYTHING, ANYTHING)
def test_any_value_is_an_offer_or_a_misbehaving_peer(key: str, value: object, whole: object) -> None:
    for stated in ({**STATED, key: value}, whole):
        try:
            parse_offer(stated)
        except PeerMisbehaved:
            continue


@settings(deadline=None)  # a busy machine is no finding
@given(st.binary(max_size=300), st.integers(0, len(CERTIFICATE)))
def test_any_certificate_is_taken_or_a_misbehaving_peer(noise: bytes, at: int) -> None:
    der = CERTIFICATE[:at] + noise + CERTIFICATE[at + len(noise) :]
    try:
        parse_offer({**STATED, "certificate": base64.b64encode(der).decode()})
    except PeerMisbehaved:
        return


def test_a_hello_comes_back_as_it_was() -> None:
    first = LaneHello(token=OFFER.token)
    more = ChannelHello(token=first.token, lane=first.nonce, opener="listener")

    assert parse_hello(head(first)) == first
    assert parse_hello(head(more)) == more
    assert first.nonce != more.nonce


@pytest.mark.parametrize(
    "change",
    [
        {"type": "document"},
        {"type": None},
        {"token": None},
        {"nonce": "00"},
        {"type": "channel"},
        {"type": "channel", "lane": "00" * 16},
        {"type": "channel", "lane": "00" * 16, "opener": "nobody"},
        {"type": "channel", "lane": 7, "opener": "dialler"},
        {"type": ["lane"]},
        {"type": "channel", "lane": "00" * 16, "opener": []},
    ],
)
def test_other_first_words_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(PeerMisbehaved):
        parse_hello({**head(LaneHello(token="00" * 16)), **change})


@pytest.mark.parametrize(
    "said", [{}, {"type": "lane-ok"}, {"type": "lane-ok", "nonce": 1}, {"type": "lane-ok", "nonce": "é"}]
)
def test_an_answer_that_does_not_know_our_nonce_is_none(said: dict[str, object]) -> None:
    with pytest.raises(PeerMisbehaved):
        check_answer(LaneHello(token="00" * 16), said)
