"""An Iroh relay: two endpoints that cannot reach each other pass their packets to it, and it passes them on.

    iroh_relay.py PORT MARKER

Listens on every address, says `ready`, and at the end of its standard input tells as JSON what it saw: the ids of its
clients, how many packets and bytes it carried, and whether MARKER was in the clear in any of them. The protocol is
`iroh-relay-v2` (its frames: the module `protos` of the crate `iroh-relay`), one binary message of a WebSocket for
each frame; a client proves its id by signing a challenge.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from enum import IntEnum

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

_CONTEXT = "iroh-relay handshake v1 challenge signature"
_KEY, _SIGNATURE = 32, 64
_FRAME_BYTES = 1 << 20


class Kind(IntEnum):
    """First byte of a frame."""

    CHALLENGE = 0
    AUTH = 1
    CONFIRMED = 2
    DENIED = 3
    PACKET_OUT = 4
    PACKETS_OUT = 5
    PACKET_IN = 6
    PACKETS_IN = 7
    PING = 9
    PONG = 10


class Relay:
    """Its clients, and what it saw."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._clients: dict[bytes, ServerConnection] = {}
        self._met: list[str] = []
        self._packets = 0
        self._bytes = 0
        self._in_the_clear = False

    @property
    def seen(self) -> dict[str, object]:
        """For the test."""
        return {
            "clients": self._met,
            "packets": self._packets,
            "bytes": self._bytes,
            "in_the_clear": self._in_the_clear,
        }

    async def serve(self, connection: ServerConnection) -> None:
        """One client, from its handshake to its end."""
        try:
            key = await self._proven(connection)
            if key is None:
                return
            self._met.append(key.hex())
            self._clients[key] = connection
            async for frame in connection:
                if isinstance(frame, bytes):
                    await self._take(connection, key, frame)
        except ConnectionClosed:
            return

    async def _proven(self, connection: ServerConnection) -> bytes | None:
        challenge = secrets.token_bytes(16)
        await connection.send(bytes([Kind.CHALLENGE]) + challenge)
        auth = await connection.recv(decode=False)
        key, signature = auth[1 : 1 + _KEY], auth[-_SIGNATURE:]
        signed = blake3(challenge, derive_key_context=_CONTEXT).digest()
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
        except (InvalidSignature, ValueError):
            await connection.send(bytes([Kind.DENIED]))
            return None
        await connection.send(bytes([Kind.CONFIRMED]))
        return key

    async def _take(self, connection: ServerConnection, key: bytes, frame: bytes) -> None:
        kind, content = frame[0], frame[1:]
        if kind == Kind.PING:
            await connection.send(bytes([Kind.PONG]) + content)
        elif kind in (Kind.PACKET_OUT, Kind.PACKETS_OUT):
            self._packets += 1
            self._bytes += len(content) - _KEY
            self._in_the_clear |= self._marker in content
            there = self._clients.get(content[:_KEY])
            if there is not None:
                how = Kind.PACKET_IN if kind == Kind.PACKET_OUT else Kind.PACKETS_IN
                await there.send(bytes([how]) + key + content[_KEY:])


def probed(_connection: ServerConnection, request: Request) -> Response | None:
    """Clients measure how far a relay is by plain requests, and then come to `/relay`."""
    return None if request.path == "/relay" else Response(200, "OK", Headers({"Content-Length": "0"}))


async def main(port: int, marker: bytes) -> None:
    """Run it until standard input ends."""
    relay = Relay(marker)
    speaks = [Subprotocol("iroh-relay-v2")]
    async with serve(
        relay.serve,
        "",
        port,
        process_request=probed,
        subprotocols=speaks,
        max_size=_FRAME_BYTES,
        compression=None,
        ping_interval=None,
        close_timeout=1,
    ):
        say("ready")
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    say(json.dumps(relay.seen))


def say(line: str) -> None:
    """To the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2].encode()))
