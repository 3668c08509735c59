"""Shelves, servers and remotes on a loopback network, and peers that do not keep to the protocol."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import zstandard
from blake3 import blake3

from blixard.errors import BlixardError, TransferError
from blixard.limits import KIB
from blixard.peer.fetch.options import FetchOptions
from blixard.peer.fetch.remote import Remote
from blixard.peer.pace.meter import Statistics
from blixard.peer.ports import Endpoint, LaneMaker, Link
from blixard.peer.share.admission import Terms
from blixard.peer.share.answers import Bounds
from blixard.peer.share.receivers import Receiver
from blixard.peer.share.server import Server
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from blixard.peer.wire.secret import Secret
from blixard.peer.wire.ticket import Ticket
from support.link_conformance import SOON
from support.loopback import LoopbackEndpoint, LoopbackLink, LoopbackNetwork
from support.loopback_channel import LoopbackChannel
from support.tickets import make_ticket

SECRET = Secret(b"sixteen bytes!!!")
SERVER, CLIENT, OTHER = "51" * 32, "c1" * 32, "07" * 32
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

QUICK = FetchOptions(
    timeout=5, first_pause=0.01, longest_pause=0.05, connect_seconds=2, reply_seconds=1, grace_seconds=1
)
"""Options of a fetch that gives up while a test can wait for it."""


class MemoryDocument:
    """A document and records in memory. `wrong` is given instead of the frame that a digest has."""

    title = "web.json"

    def __init__(self, count: int = 40, size: int = 20 * KIB, seed: int = 1, document: bytes | None = None) -> None:
        source = random.Random(seed)
        self.records = [source.randbytes(size + number) for number in range(count)]
        self.frames = {digest_of(data): compress(data) for data in self.records}
        self.document_bytes = document if document is not None else source.randbytes(3 * protocol.PART_BYTES + 17)
        self.document = blake3(self.document_bytes).hexdigest()
        self.document_size = len(self.document_bytes)
        self.wrong: dict[bytes, bytes | None] = {}
        self.asked = 0

    @property
    def share_bytes(self) -> int:
        return self.document_size + sum(map(len, self.frames.values()))

    @property
    def wanted(self) -> list[tuple[bytes, int]]:
        return [(digest_of(data), len(data)) for data in self.records]

    def open_document(self) -> BinaryIO:
        return io.BytesIO(self.document_bytes)

    def frame(self, digest: bytes) -> bytes | None:
        self.asked += 1
        return self.wrong[digest] if digest in self.wrong else self.frames.get(digest)


class Notes:
    """A witness that writes everything down."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.refused_ids: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.joins: list[str] = []
        self.ends: list[Receiver] = []
        self.sent: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def joined(self, receiver: Receiver) -> None:
        with self._lock:
            self.joins.append(receiver.id)

    def advanced(self, receiver_id: str, amount: int, kind: str) -> None:
        with self._lock:
            self.sent[receiver_id, kind] += amount

    def completed(self, receiver: Receiver) -> None:
        assert receiver.completed

    def left(self, receiver: Receiver) -> None:
        with self._lock:
            self.ends.append(receiver)

    def refused(self, peer_id: str, address: str, reason: str) -> None:
        with self._lock:
            self.refusals.append(reason)
            self.refused_ids.append((peer_id, address))

    def warn(self, message: str) -> None:
        with self._lock:
            self.warnings.append(message)


class FakeSender:
    """A sender of a fetch, for tests of what is below it."""

    def __init__(self) -> None:
        self.ticket = make_ticket()
        self.has_lane = False
        self.sizes: list[int] = []
        self.problems: list[BlixardError] = []

    def came(self, size: int) -> None:
        self.sizes.append(size)

    def drop(self, problem: BlixardError) -> None:
        self.problems.append(problem)


class World:
    """A network with one server on it, and whatever a test adds. Everything ends with it."""

    def __init__(self) -> None:
        self.network = LoopbackNetwork(capacity=64 * KIB)
        self.served = MemoryDocument()
        self.notes = Notes()
        self.stack = ExitStack()
        self.changed = threading.Condition()
        """Notified when a sender of a fetch begins or ceases to answer."""
        self.sessions_changed = threading.Condition()
        """Notified when a session of a share has ended."""
        self.serving: dict[str, LoopbackEndpoint] = {}
        """Of each server, by its id, the last endpoint."""

    def serve(
        self,
        server_id: str = SERVER,
        *,
        served: MemoryDocument | None = None,
        terms: Terms | None = None,
        bounds: Bounds | None = None,
        lanes: LaneMaker | None = None,
        now: Callable[[], datetime] = lambda: NOW,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Server:
        endpoint = self.serving[server_id] = self.endpoint(server_id)
        server = Server(
            served or self.served,
            terms or Terms(secret=SECRET),
            bounds=bounds or Bounds(handshake_seconds=2),
            now=now,
            monotonic=monotonic,
            witness=self.notes,
            lanes=lanes,
            changed=self.sessions_changed,
        )
        self.stack.callback(server.stop)
        server.serve(endpoint.listen())
        return server

    def endpoint(self, endpoint_id: str) -> LoopbackEndpoint:
        made = self.network.endpoint(endpoint_id)
        self.stack.callback(made.close)
        return made

    def ticket(self, server_id: str = SERVER, *, secret: Secret = SECRET, document: str | None = None) -> Ticket:
        return Ticket(
            endpoint_id=bytes.fromhex(server_id),
            addresses=("127.0.0.1:1",),
            document=document or self.served.document,
            secret=secret,
            expires_at=NOW + timedelta(days=1),
        )

    def fetch(
        self,
        *tickets: Ticket,
        client_id: str = CLIENT,
        options: FetchOptions = QUICK,
        lanes: LaneMaker | None = None,
        endpoint: Endpoint | None = None,
    ) -> Remote:
        ours = endpoint or self.endpoint(client_id)
        remote = Remote.connect(tickets or (self.ticket(),), ours, options, lanes=lanes, changed=self.changed)
        self.stack.callback(remote.close)
        return remote

    def hang_up(self, server_id: str) -> None:
        """A server takes no more links, and those that stand are closed."""
        self.serving[server_id].stop_listening()
        for link in self.serving[server_id].links:
            link.close()

    def wait_until(self, remote: Remote, reached: Callable[[Statistics], bool]) -> None:
        """Wait for what a fetch of this world has counted, which changes in threads of its own."""
        with self.changed:
            assert self.changed.wait_for(lambda: reached(remote.statistics()), SOON), remote.statistics()

    def play(self, behave: Callable[[LoopbackLink], None], server_id: str = SERVER) -> None:
        """A server of the test's own making: `behave` gets each link, in a thread of its own."""
        listener = self.endpoint(server_id).listen()
        actors: list[threading.Thread] = []

        def act(link: LoopbackLink) -> None:
            try:
                behave(link)
            except TransferError:
                return

        def take() -> None:
            while (link := listener.accept(None)) is not None:
                actor = threading.Thread(target=act, args=(link,), daemon=True)
                actor.start()
                actors.append(actor)
            for actor in actors:
                actor.join(30)

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        self.stack.callback(taker.join, 30)
        self.stack.callback(listener.close)

    def call(self, client_id: str = CLIENT, server_id: str = SERVER) -> LoopbackLink:
        """A link to the server, from a client of the test's own making."""
        return self.endpoint(client_id).connect(server_id, timeout=10)


def digest_of(data: bytes) -> bytes:
    return blake3(data).digest()


def compress(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


def collect(remote: Remote, wanted: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """The decoded records, each checked, as an import does it."""
    for digest, length in wanted:
        remote.request(digest, length)
    return [opened(remote, digest, length) for digest, length in wanted]


def opened(remote: Remote, digest: bytes, length: int) -> bytes:
    while True:
        frame = remote.wait(digest, 30)
        try:
            data = zstandard.ZstdDecompressor().decompress(bytes(frame), max_output_size=length)
        except zstandard.ZstdError:
            data = b""
        if digest_of(data) == digest:
            return data
        remote.reject(digest, "it does not match its digest")


def read_document(remote: Remote) -> bytes:
    with remote.document() as document:
        return document.read()


def welcomed(link: LoopbackLink, served: MemoryDocument, *, size: int | None = None) -> LoopbackChannel:
    """What an honest server does first; gives the control channel."""
    control = link.accept(10)
    control.send(head(protocol.ServerHello(protocol.new_nonce())))
    assert control.receive(10) is not None
    control.send(
        head(protocol.Welcome(served.document, served.document_size if size is None else size, 16)),
    )
    return control


def proven(
    link: Link,
    secret: Secret = SECRET,
    *,
    client_id: str | None = None,
    nonce: str | None = None,
    require: tuple[str, ...] = (),
) -> LoopbackChannel:
    """What a client does first; gives the control channel, with the server's answer still in it.

    Honest, unless another client's id or another nonce is given for the proof.
    """
    control = link.open(10)
    assert isinstance(control, LoopbackChannel)
    hello = control.receive(10)
    assert hello is not None
    proof = protocol.prove(
        secret,
        client_id=client_id or link.local_id,
        server_id=link.remote_id,
        nonce=nonce or hello[0]["nonce"],
    )
    control.send(head(protocol.ClientHello(proof, require=require)))
    return control


@contextmanager
def world() -> Iterator[World]:
    made = World()
    with made.stack:
        yield made
