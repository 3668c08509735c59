"""The messages of `blixard/export/1` as structs, and the proof that one holds a ticket.

Pure: heads of frames in, structs out. A head is judged once, here; which message may come when is in `states.py`.
Unknown keys are passed over: what must be understood is named in `require`.

    control channel, the first that the client opens
        server  hello (nonce)          client  hello (proof)
        server  welcome | refused      then both: ping every 2 s; client: done; server: bye
        whoever finishes it leaves, and had what it wanted
    request channels, any number up to the server's bound, requests one after the other
        client  document (offset)      server  part with a body, ..., end
        client  records (digests)      server  for each in order: record with a body, or missing
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from blake3 import blake3
from msgspec import UNSET, Meta, Struct, UnsetType

from blixard.errors import PeerMisbehaved, TransferError
from blixard.model.structs import JsonObject
from blixard.peer.ports import BODY_BYTES
from blixard.peer.wire.secret import Secret

ALPN = b"blixard/export/1"
VERSION = 1
FEATURES: frozenset[str] = frozenset()
"""Optional features that we know."""
BATCH = 256
"""Digests in one request."""
PART_BYTES = 256 << 10
"""Body of a `part` as we send it."""
PART_LIMIT = 1 << 20
"""Longest body of a `part`; an empty one is none."""
PING_SECONDS = 2.0
LOST_SECONDS = 10.0
"""Silence on the control channel after which the peer is lost (the transport alone takes 30 s)."""
HANDSHAKE_SECONDS = 10.0

_Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
_Names = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=32)]
_Length = Annotated[int, Meta(ge=0, le=BODY_BYTES)]
_Offset = Annotated[int, Meta(ge=0, le=1 << 53)]


class Refusal(StrEnum):
    """Why a server refuses a client."""

    SECRET = "secret"  # noqa: S105 - the name of a reason
    EXPIRED = "expired"
    USED = "used"
    NOT_ALLOWED = "not-allowed"
    BUSY = "busy"
    STOPPED = "stopped"
    VERSION = "version"


class Message(Struct, frozen=True, tag_field="type", omit_defaults=False):
    """The base of all messages: a struct whose `type` in JSON is its tag."""


class ServerHello(Message, frozen=True, tag="hello"):
    """The server's first message; it says nothing of the export, for the client may be anybody."""

    nonce: _Hex32
    version: int = VERSION
    features: _Names = ()
    require: _Names = ()


class ClientHello(Message, frozen=True, tag="hello"):
    """The client's first message: the proof that it holds the ticket, and perhaps a lane's offer."""

    proof: _Hex32
    version: int = VERSION
    features: _Names = ()
    require: _Names = ()
    lane: JsonObject | UnsetType = UNSET


class Welcome(Message, frozen=True, tag="welcome"):
    """The server's answer to a good proof: what is served, and the bounds."""

    document: _Hex32
    document_size: _Offset
    channels: Annotated[int, Meta(ge=1, le=4096)]
    """Request channels of this session that are served at the same time."""
    lane: JsonObject | UnsetType = UNSET


class Refused(Message, frozen=True, tag="refused"):
    """The server refuses the client. `message` is for the peer's log; we never show what a peer wrote."""

    code: Annotated[str, Meta(max_length=32)]
    message: Annotated[str, Meta(max_length=256)] = ""


class Ping(Message, frozen=True, tag="ping"):
    """The heartbeat of either side: it is still there."""


class Done(Message, frozen=True, tag="done"):
    """The client has all it wanted."""


class Bye(Message, frozen=True, tag="bye"):
    """The server's answer to `done`: it has counted the client as complete."""


class GetDocument(Message, frozen=True, tag="document"):
    """A request for the export without record data, from byte `offset` on."""

    offset: _Offset = 0


class Part(Message, frozen=True, tag="part"):
    """The next bytes of the document are the body."""


class DocumentSent(Message, frozen=True, tag="end"):
    """The document is complete."""


class GetRecords(Message, frozen=True, tag="records"):
    """A request for the frames of these records, to be answered in this order."""

    digests: Annotated[tuple[_Hex32, ...], Meta(min_length=1, max_length=BATCH)]


class RecordFrame(Message, frozen=True, tag="record"):
    """The body is the zstd frame of the record with this digest; `length` is the body's."""

    blake3: _Hex32
    length: _Length


class Missing(Message, frozen=True, tag="missing"):
    """The answer where there is no such record."""

    blake3: _Hex32


def head(message: Message) -> JsonObject:
    """The head of the frame that carries a message."""
    made: JsonObject = msgspec.to_builtins(message)
    return made


def understood(given: JsonObject, kinds: Any) -> Any:
    """The message in a head.

    Args:
        given: the head.
        kinds: the message types that make sense now, one or a union.

    Raises:
        PeerMisbehaved: it is none of them, or a field breaks its rule.
    """
    if "type" not in given:  # msgspec takes a message without one where only one kind makes sense
        raise PeerMisbehaved("the peer sent a message without a type")
    try:
        return msgspec.convert(given, kinds, strict=True)
    except msgspec.ValidationError as problem:
        raise PeerMisbehaved("the peer sent a message that makes no sense here") from problem


def new_nonce() -> str:
    """Thirty-two random bytes in hex: a proof that somebody overheard is good for one connection only."""
    return secrets.token_bytes(32).hex()


def prove(secret: Secret, *, client_id: str, server_id: str, nonce: str) -> str:
    """The proof of PEER.md section 2: bound to both endpoints, so that a peer in between cannot pass it on."""
    keyed = blake3(key=secret.reveal() + bytes(16))
    keyed.update(ALPN + bytes.fromhex(client_id) + bytes.fromhex(server_id) + bytes.fromhex(nonce))
    return keyed.hexdigest()


def proves(proof: str, secret: Secret, *, client_id: str, server_id: str, nonce: str) -> bool:
    """True when the proof is that of the secret; in constant time."""
    return hmac.compare_digest(proof, prove(secret, client_id=client_id, server_id=server_id, nonce=nonce))


def check_hello(hello: ServerHello | ClientHello) -> None:
    """See that we understand the peer.

    Raises:
        TransferError: it speaks a version, or requires a feature, that we do not know.
    """
    hint = "update the older of the two programs"
    if hello.version != VERSION:
        raise TransferError(f"the peer speaks version {hello.version} of the protocol, we speak {VERSION}", hint=hint)
    unknown = [name for name in hello.require if name not in FEATURES]
    if unknown:
        raise TransferError(f"the peer requires {_named(unknown)}, which this program does not know", hint=hint)


def _named(names: Sequence[str]) -> str:
    """Feature names of a peer, fit to be shown: only those that look like one."""
    known = [f"`{name}`" for name in names if re.fullmatch(r"[a-z0-9.-]{1,32}", name)]
    return f"the feature {', '.join(known[:4])}" if known else "a feature"
