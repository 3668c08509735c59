"""Liars at the listening end of a lane, broken offers, tickets that point elsewhere: there is no lane, and no error."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from blixard.errors import PeerMisbehaved, PeerUnreachable
from blixard.model.addresses import SocketAddress
from blixard.model.structs import JsonObject
from blixard.peer.lane.certificates import LaneIdentity
from blixard.peer.lane.dial import Caller, Tuning
from blixard.peer.lane.hello import LaneHello
from blixard.peer.pace.deadline import Deadline
from blixard.peer.wire.frames import encode_frame
from support.lanes import FAR_ID, NEAR_ID, SessionLink, Side, two_sides, without_dialling
from support.link_conformance import no_thread_left

SECONDS = 10.0


class Liar:
    """A listener that holds the certificate that the client expects, or not, and says what a test makes it say."""

    def __init__(self, act: Callable[[ssl.SSLSocket], None], identity: LaneIdentity, client: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = self._socket.getsockname()[:2]
        self._context = identity.listening([client])
        self._act = act
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._socket, suppress(OSError):
            sock, _ = self._socket.accept()
            with self._context.wrap_socket(sock, server_side=True) as tls:
                tls.settimeout(SECONDS)
                self._act(tls)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(SECONDS)


def frame(head: JsonObject, body: bytes = b"") -> bytes:
    return b"".join(bytes(part) for part in encode_frame(head, body))


def says(words: bytes, *, after_hello: bool = True) -> Callable[[ssl.SSLSocket], None]:
    def act(sock: ssl.SSLSocket) -> None:
        if after_hello:
            sock.recv(4096)
        sock.sendall(words)
        sock.recv(4096)

    return act


@pytest.mark.parametrize(
    "act",
    [
        says(frame({"type": "lane-ok", "nonce": "00" * 16}), after_hello=False),
        says(frame({"type": "lane-ok"}), after_hello=False),
        says(frame({"type": "hello", "version": 1}), after_hello=False),
        says(frame({"type": "lane-ok", "nonce": "00" * 16})),
        says(frame({"type": "lane-ok"}, bytes(1000))),
        says(b"\xff" * 8),
        says(bytes(4)),
        says(b"SSH-2.0-OpenSSH_9.2\r\n", after_hello=False),
    ],
    ids=["ok before the token", "no nonce", "other talk", "other nonce", "a body", "long head", "an end", "a banner"],
)
def test_a_server_that_does_not_answer_our_token_is_no_lane(act: Callable[[ssl.SSLSocket], None]) -> None:
    identity, client = LaneIdentity(), LaneIdentity()
    liar = Liar(act, identity, client.certificate)
    caller = Caller(identity=client, certificate=identity.certificate, token="00" * 16, tuning=Tuning())

    with pytest.raises(PeerMisbehaved):
        caller.dial(SocketAddress.of(liar.address), LaneHello(token="00" * 16), Deadline(SECONDS))
    liar.close()


def test_a_server_with_another_certificate_never_sees_the_token() -> None:
    heard: list[bytes] = []
    client = LaneIdentity()
    liar = Liar(lambda sock: heard.append(sock.recv(4096)), LaneIdentity(), client.certificate)
    caller = Caller(identity=client, certificate=LaneIdentity().certificate, token="00" * 16, tuning=Tuning())

    with pytest.raises(PeerUnreachable):
        caller.dial(SocketAddress.of(liar.address), LaneHello(token="00" * 16), Deadline(SECONDS))
    liar.close()
    assert heard in ([], [b""])


def test_a_server_that_says_nothing_is_waited_for_a_bounded_time() -> None:
    client = LaneIdentity()
    caller = Caller(identity=client, certificate=LaneIdentity().certificate, token="00" * 16, tuning=Tuning())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()

        with pytest.raises(PeerUnreachable):
            caller.dial(SocketAddress.of(silent.getsockname()), LaneHello(token="00" * 16), Deadline(0.3))
        assert 0.2 < time.monotonic() - began < 3


def test_a_port_where_nobody_listens_is_no_lane_and_no_error() -> None:
    with no_thread_left(), two_sides() as (near, far):
        stated = near.lane.offer()
        far.begin(without_dialling(stated))

        assert far.told.empty()


@pytest.mark.parametrize(
    "broken", [{}, {"port": 1}, [], {"port": 5000, "certificate": "", "token": "", "addresses": []}]
)
def test_a_broken_offer_is_no_lane_and_no_error(broken: JsonObject) -> None:
    with no_thread_left(), two_sides() as (near, _far):
        near.begin(broken)

        assert near.lane.problem is not None
        assert near.told.empty()


def test_a_ticket_cannot_make_us_knock_on_our_own_services() -> None:
    """The offer names a port of ours; the peer was seen elsewhere (TEST-NET, where nobody answers)."""
    with no_thread_left(), socket.create_server(("127.0.0.1", 0)) as service:
        side = Side(NEAR_ID, FAR_ID)
        lane = side.host.lane(SessionLink(NEAR_ID, FAR_ID, ("relay.example:443",)))
        stated = {**side.lane.offer(), "port": service.getsockname()[1], "addresses": ["127.0.0.1", "::1", "0.0.0.0"]}  # noqa: S104 - what a liar says
        lane.begin(stated, side.told.put)

        service.settimeout(0.3)
        with pytest.raises(TimeoutError):
            service.accept()
        side.close()
