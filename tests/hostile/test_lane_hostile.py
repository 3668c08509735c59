"""Strangers and liars at both ends of the direct lane."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest

from blixard.errors import PeerMisbehaved, PeerUnreachable
from blixard.model.addresses import SocketAddress
from blixard.model.structs import JsonObject
from blixard.peer.lane import listen as lane_listen
from blixard.peer.lane.certificates import LaneIdentity
from blixard.peer.lane.channel import LaneChannel
from blixard.peer.lane.dial import Caller, Tuning
from blixard.peer.lane.hello import ChannelHello, LaneHello
from blixard.peer.lane.link import CONNECTIONS
from blixard.peer.lane.offer import parse_offer
from blixard.peer.pace.deadline import Deadline
from blixard.peer.wire.frames import encode_frame
from blixard.peer.wire.protocol import head
from support.lanes import FAR_ID, NEAR_ID, SessionLink, Side, without_dialling
from support.link_conformance import Started, no_thread_left, received

SECONDS = 10.0
NO_TOKEN = "00" * 16


class Server:
    """A side that waits for a peer which never dials by itself: tests play it."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._dialled: list[LaneChannel] = []
        self.peer = LaneIdentity()
        self.offer = parse_offer(side.lane.offer())
        self.address = ("127.0.0.1", self.offer.port)
        stated: JsonObject = {**side.lane.offer(), "token": "77" * 16}
        side.begin(without_dialling(self._as_of(self.peer, stated)))

    @staticmethod
    def _as_of(identity: LaneIdentity, stated: JsonObject) -> JsonObject:
        return {**stated, "certificate": base64.b64encode(identity.certificate).decode()}

    def tls(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        return context.wrap_socket(socket.create_connection(self.address, SECONDS))

    def honest(self) -> ssl.SSLSocket:
        return self.tls(self.peer.dialing(self.offer.certificate))

    def caller(self, **changes: object) -> Caller:
        known = {
            "identity": self.peer,
            "certificate": self.offer.certificate,
            "token": self.offer.token,
            "tuning": Tuning(),
        }
        return Caller(**{**known, **changes})  # type: ignore[arg-type]

    def dial(self, **words: Any) -> LaneChannel:
        """A connection of the honest peer, with these words beside the token."""
        words = {"token": self.offer.token, **words}
        said = ChannelHello(**{"opener": "dialler", **words}) if "lane" in words else LaneHello(**words)
        return self.keep(self.caller().dial(SocketAddress.of(self.address), said, Deadline(SECONDS)))

    def keep(self, channel: LaneChannel) -> LaneChannel:
        self._dialled.append(channel)
        return channel

    def stands(self) -> bool:
        return not self.side.told.empty()

    def close(self) -> None:
        for channel in self._dialled:
            channel.close()
        self.side.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with no_thread_left(), closing(Server(Side(FAR_ID, NEAR_ID))) as made:
        yield made


def what_comes_back(sock: socket.socket) -> bytes:
    """Until the other side hangs up."""
    sock.settimeout(SECONDS)
    got = b""
    with suppress(OSError):
        while data := sock.recv(4096):
            got += data
    return got


def hello(token: str) -> bytes:
    return b"".join(bytes(part) for part in encode_frame(head(LaneHello(token=token))))


def test_the_peer_itself_gets_an_ok(server: Server) -> None:
    server.dial()

    assert server.side.link().remote_id == NEAR_ID


def test_another_certificate_gets_nothing(server: Server) -> None:
    stranger = LaneIdentity()
    with server.tls(stranger.dialing(server.offer.certificate)) as sock:
        with suppress(OSError):
            sock.sendall(hello(server.offer.token))

        assert what_comes_back(sock) == b""
    with pytest.raises(PeerUnreachable):
        server.caller(identity=stranger).dial(
            SocketAddress.of(server.address), LaneHello(token=server.offer.token), Deadline(SECONDS)
        )
    assert not server.stands()


def test_the_right_certificate_with_another_token_gets_nothing(server: Server) -> None:
    with server.honest() as sock:
        sock.sendall(hello(NO_TOKEN))

        assert what_comes_back(sock) == b""
    assert not server.stands()


def test_the_token_of_another_session_does_not_fit_ones_own_certificate(server: Server) -> None:
    other = server.side.host.lane(_session())
    second = LaneIdentity()
    stated = server._as_of(second, {**other.offer(), "token": "66" * 16})
    other.begin(without_dialling(stated), lambda _link: None)

    with server.tls(second.dialing(server.offer.certificate)) as sock:
        sock.sendall(hello(server.offer.token))

        assert what_comes_back(sock) == b""
    assert not server.stands()


def test_no_certificate_gets_nothing(server: Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=server.offer.certificate)
    with server.tls(context) as sock:
        with suppress(OSError):
            sock.sendall(hello(server.offer.token))

        assert what_comes_back(sock) == b""
    assert not server.stands()


def test_tls_1_2_is_not_spoken(server: Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(OSError, match=r"(?i)version|closed|reset|eof"):
        server.tls(context)


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", hello(NO_TOKEN), bytes(70000), b"SSH-2.0-x\r\n"], ids=len
)
def test_plain_text_gets_no_frame(server: Server, said: bytes) -> None:
    with socket.create_connection(server.address, SECONDS) as sock:
        with suppress(OSError):
            sock.sendall(said)
        back = what_comes_back(sock)

    assert len(back) <= 7  # a TLS alert at most
    assert not server.stands()


@pytest.mark.parametrize(
    "said",
    [b"\xff\xff\xff\xff", bytes(4), b"\0\0\0\2[]", encode_frame({"type": "document"})[0], b"\0\0\0\3{}x"],
    ids=["too long", "an end", "a list", "a request", "no json"],
)
def test_a_peer_that_begins_with_something_else_is_hung_up_on(server: Server, said: bytes) -> None:
    with server.honest() as sock:
        sock.sendall(said)

        assert what_comes_back(sock) == b""
    assert not server.stands()


def test_a_listener_says_nothing_before_the_token(server: Server) -> None:
    with server.honest() as sock:
        sock.settimeout(0.3)

        with pytest.raises(TimeoutError):
            sock.recv(1)  # a session ticket would not show here, so the bytes below TLS are counted too
        sock.settimeout(SECONDS)
        sock.sendall(hello(server.offer.token))
        assert sock.recv(4)


def test_slow_strangers_are_hung_up_on_in_bounded_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_listen, "JUDGING_SECONDS", 0.6)
    began = time.monotonic()
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(server.address, SECONDS)) for _ in range(4)]
        dripping = [stack.enter_context(socket.create_connection(server.address, SECONDS)) for _ in range(4)]
        half_done = stack.enter_context(server.honest())
        half_done.sendall(b"\0\0")
        drips = [Started(lambda sock=sock: drip(sock)) for sock in dripping]  # type: ignore[misc]

        assert all(what_comes_back(sock) == b"" for sock in [*silent, half_done])
        for one in drips:
            one.result()
    assert 0.5 < time.monotonic() - began < 5


def drip(sock: socket.socket) -> None:
    """A byte at a time, of what looks like the beginning of a handshake, until the other side hangs up."""
    sock.settimeout(0.05)
    with suppress(BrokenPipeError, ConnectionResetError):
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500):
            sock.sendall(bytes([byte]))
            with suppress(TimeoutError):
                if not sock.recv(1):
                    return


def test_two_hundred_strangers_at_once_cost_a_bounded_time_and_number_of_threads(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_listen, "JUDGING_SECONDS", 1.0)
    with ExitStack() as stack:
        began = time.monotonic()
        strangers = [stack.enter_context(socket.create_connection(server.address, SECONDS)) for _ in range(200)]
        judges = sum(thread.name == "lane-judge" for thread in threading.enumerate())

        assert judges <= lane_listen.JUDGED_AT_ONCE
        assert all(what_comes_back(sock) == b"" for sock in strangers)
        assert time.monotonic() - began < 8
    server.dial()


def test_a_peer_gets_in_beside_strangers_that_keep_fifteen_places(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(socket.create_connection(server.address, SECONDS))

        server.dial()


def test_without_a_session_nobody_is_spoken_to() -> None:
    with no_thread_left():
        side = Side(FAR_ID, NEAR_ID)
        with socket.create_connection(("127.0.0.1", side.host.listener.address.port), SECONDS) as sock:
            sock.settimeout(SECONDS)
            with suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        side.close()


def test_a_closed_lane_takes_its_peer_no_more(server: Server) -> None:
    server.side.lane.close()

    with pytest.raises(PeerUnreachable):
        server.dial()


def test_a_peer_that_never_chooses_cannot_open_lanes_without_end() -> None:
    with no_thread_left(), closing(Server(Side(NEAR_ID, FAR_ID))) as server:
        for _ in range(8):
            server.dial()

        with pytest.raises(PeerUnreachable):
            server.dial()
        assert not server.stands()


def test_of_many_lanes_one_is_used(server: Server) -> None:
    first, *others = [server.dial() for _ in range(20)]

    assert received(first)[0] == {"type": "use"}
    assert [received(other)[0]["type"] for other in others] == ["close"] * 19
    assert server.side.link().stands
    assert not server.stands()


def test_a_peer_cannot_open_channels_without_end(server: Server) -> None:
    server.dial(nonce=NO_TOKEN)
    more = [server.dial(lane=NO_TOKEN) for _ in range(2 * CONNECTIONS + 4)]
    link = server.side.link()
    for _ in range(2 * CONNECTIONS):
        link.accept(SECONDS)

    with pytest.raises(PeerUnreachable):
        link.accept(0.05)
    with pytest.raises(PeerUnreachable, match="closed"):
        more[-1].receive(SECONDS)


@pytest.mark.parametrize("opener", ["dialler", "listener"])
def test_a_channel_of_a_lane_that_is_not_there_is_hung_up_on(server: Server, opener: str) -> None:
    with pytest.raises(PeerUnreachable):
        server.dial(lane=NO_TOKEN, opener=opener)


def test_a_channel_that_nobody_asked_for_is_hung_up_on(server: Server) -> None:
    server.dial(nonce=NO_TOKEN)
    unasked = server.dial(lane=NO_TOKEN, opener="listener")

    with pytest.raises(PeerUnreachable):
        unasked.receive(SECONDS)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"type": "dial"},
        {"type": "document"},
        {"type": "close", "reason": "\x1b[2J"},
        {"type": "close", "reason": 5},
    ],
)
def test_a_peer_that_babbles_on_the_anchor_loses_its_lane(server: Server, said: JsonObject) -> None:
    anchor = server.dial()
    link = server.side.link()
    accepting = Started(lambda: link.accept(None))
    anchor.send(said)

    with pytest.raises(PeerUnreachable) as problem:
        accepting.result()
    assert problem.value.message.isprintable()


def test_frames_after_the_ok_are_judged_like_everywhere(server: Server) -> None:
    server.dial(nonce=NO_TOKEN)
    channel = server.dial(lane=NO_TOKEN)
    ours = server.side.link().accept(SECONDS)
    channel.send({"n": 1}, b"x")
    assert received(ours)[0] == {"n": 1}
    channel._stream.send(b"\0\0\0\2{}\xff\xff\xff\xff", Deadline(SECONDS))

    with pytest.raises(PeerMisbehaved, match="4294967295"):
        ours.receive(SECONDS)


def test_a_connection_cut_within_a_frame_is_a_lost_peer(server: Server) -> None:
    server.dial(nonce=NO_TOKEN)
    channel = server.dial(lane=NO_TOKEN)
    ours = server.side.link().accept(SECONDS)
    channel._stream.send(b"\0\0\0\2{}\0\0\0\x05ab", Deadline(SECONDS))
    channel.close()

    with pytest.raises(PeerUnreachable):
        ours.receive(SECONDS)


def _session(*seen: str) -> SessionLink:
    return SessionLink(FAR_ID, "cc" * 32, seen)
