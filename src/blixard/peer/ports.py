"""The ports of peer: a channel of frames, a link to one peer, a listener, an endpoint, a lane, a served document.

Blocking calls for threads, with every wait bounded, so that the protocol above is written once. Iroh, the direct lane
and the in-process loopback are adapters and pass one conformance suite (tests/support/link_conformance.py).

Every `close` and `finish` may be called again. Errors of every call here: `PeerUnreachable` (lost, silent, too slow, or
closed by the peer), `PeerMisbehaved` (the peer broke the framing) and `TransferError` (used after we closed it). Never
anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

from blixard.limits import KIB, MIB
from blixard.model.structs import JsonObject

Body = bytes | memoryview
Frame = tuple[JsonObject, Body]

HEAD_BYTES = 64 * KIB
"""Longest head of a frame: 256 digests in hex are 18 KiB."""
BODY_BYTES = 16 * MIB + KIB
"""Longest body of a frame: the largest record, incompressible, as a zstd frame."""
SLOWEST = 4 * KIB
"""Bytes a second below which a frame is given up: 32 kbit/s for each channel. A peer cannot hold us by dripping."""
STALL_SECONDS = 30.0
"""How long `send` and `finish` wait for a peer that takes nothing."""


def body_seconds(length: int) -> float:
    """Time that a body of `length` bytes gets on top of the time for its frame to begin."""
    return length / SLOWEST


class Channel(Protocol):
    """One ordered stream of frames, both ways.

    One thread sends and one receives at a time; `close` may come from any thread and wakes both with an error.
    """

    def send(self, head: JsonObject, body: Body = b"") -> None:
        """Hand one frame to the transport, waiting while the peer does not take what came before.

        Raises:
            PeerUnreachable: not taken within `STALL_SECONDS` and `body_seconds`; the channel is closed then.
            TransferError: after `finish` or `close`.
        """

    def receive(self, timeout: float | None, *, limit: int = BODY_BYTES) -> Frame | None:
        """The next whole frame; None when the peer has finished and all it sent was received.

        Args:
            timeout: seconds for the frame to begin and its head to be there; its body has `body_seconds` more. A
                channel on which it passed is closed: half a frame may be gone. None: wait for ever.
            limit: longest body that is taken. Lengths are checked before anything is allocated.

        Raises:
            PeerUnreachable: the time passed, or the link is lost, or the peer closed the channel.
            PeerMisbehaved: not a frame, a body over `limit`, or an end within a frame; the channel is closed then.
        """

    def finish(self) -> None:
        """Tell the peer that no more frames come from us; it may go on. Waits for delivery where the transport can.

        Raises:
            PeerUnreachable: as `send`.
        """

    def close(self) -> None:
        """Drop the channel at once, with what is not delivered yet; never raises, never waits."""


class Link(Protocol):
    """An encrypted, identified way to one peer, with any number of channels. Every method from any thread."""

    @property
    def kind(self) -> str:
        """What people call the transport: `iroh`, `tcp`, `loopback`."""

    @property
    def local_id(self) -> str:
        """Our endpoint id as the peer knows it: 64 hex digits."""

    @property
    def remote_id(self) -> str:
        """The peer's endpoint id, proven by the transport: 64 hex digits."""

    @property
    def remote_addresses(self) -> tuple[str, ...]:
        """Addresses (`host:port`) at which the peer was seen on this link; may be empty (a relay)."""

    def open(self, timeout: float | None) -> Channel:
        """A new channel; waits while the peer does not take more. The peer may see it only once we have sent.

        Raises:
            PeerUnreachable: the time passed or the link is lost; on a transport with a bound, also when it is full.
        """

    def accept(self, timeout: float | None) -> Channel:
        """The next channel that the peer opened. The number of those that wait to be accepted is bounded.

        Raises:
            PeerUnreachable: the time passed or the link is lost.
        """

    def close(self, reason: str = "") -> None:
        """End the link and all its channels; blocked calls on both sides wake with an error.

        Args:
            reason: a few ASCII characters for the peer, where the transport can carry them.
        """


class Listener(Protocol):
    """Where links come in. A caller that breaks off or talks nonsense costs bounded time, and never raises here."""

    def accept(self, timeout: float | None) -> Link | None:
        """The next link; None when the time passed or the listener was closed."""

    def addresses(self) -> tuple[str, ...]:
        """Where a peer can reach us, `host:port`, for the ticket."""

    def close(self) -> None:
        """Take no more links; those that stand go on. Wakes `accept`."""


class Endpoint(Protocol):
    """This node on a transport: the id that its key proves, and the links that it makes and takes."""

    @property
    def id(self) -> str:
        """Our endpoint id: 64 hex digits."""

    def connect(self, endpoint_id: str, addresses: tuple[str, ...], relay: str | None, timeout: float | None) -> Link:
        """A link to that very endpoint.

        Raises:
            PeerUnreachable: it does not answer within the time, or somebody else does.
            TransferError: an address makes no sense, or the endpoint is closed.
        """

    def listen(self) -> Listener:
        """Take links from other nodes from now on."""

    def close(self) -> None:
        """Close every link and listener; wakes every blocked call, `connect` too."""


class Lane(Protocol):
    """Our end of a session's lane: a direct TLS link beside the session's own, by which records come faster.

    Made for one session, which its token names.
    """

    def offer(self) -> JsonObject:
        """What the peer needs to make the lane; it travels in `hello` and `welcome`, over the session's link."""

    def begin(self, theirs: JsonObject, stands: Callable[[Link], None]) -> None:
        """Dial the peer and take its calls, in threads of its own; returns at once and raises nothing.

        Args:
            theirs: the peer's offer, not yet looked at: whatever is wrong with it means no lane, never an error.
            stands: called from such a thread with each link that both sides have proven to each other. The client opens
                request channels on it as on the session's link; `open` raises when it has no more connections to give.
        """

    def close(self) -> None:
        """End its threads and links."""


LaneMaker = Callable[[Link], "Lane | None"]
"""A lane for the session on this link; None when there is to be none."""


class ServedDocument(Protocol):
    """The export that a server shares. Every method from several threads at once."""

    @property
    def title(self) -> str:
        """What people call it: the file's name."""

    @property
    def document(self) -> str:
        """Document digest, 64 hex digits."""

    @property
    def document_size(self) -> int:
        """Bytes that `open_document` gives."""

    @property
    def share_bytes(self) -> int:
        """About what goes to whoever takes the document and every record, to a few per cent."""

    def open_document(self) -> BinaryIO:
        """A new stream of the export without record data; the same bytes each time."""

    def frame(self, digest: bytes) -> bytes | memoryview | None:
        """The zstd frame of the record with this BLAKE3; None when there is none.

        Raises:
            StorageError: the file cannot be read.
        """
