"""The document of a share as a stream, read from the sender part by part as one reads.

A lost connection does not show: the same sender is asked for the rest. What comes is held against the size that was
announced, so that an endless document ends.
"""

from __future__ import annotations

import io
import time
from typing import Any

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.peer.fetch.connection import Connection
from blixard.peer.fetch.options import Fetch
from blixard.peer.fetch.sender import Sender
from blixard.peer.fetch.wanted import again
from blixard.peer.pace.patience import Patience, TooSlow
from blixard.peer.ports import Body, Channel
from blixard.peer.wire import protocol
from blixard.peer.wire.protocol import head
from blixard.peer.wire.states import FROM_SERVER, Incoming, State


class DocumentStream(io.RawIOBase):
    """Bytes of the document, once, forwards. Wrap it in a BufferedReader.

    Raises (read): TransferError and its kind; the sender is given up when it lied.
    """

    def __init__(self, fetch: Fetch, sender: Sender) -> None:
        super().__init__()
        self.sender = sender
        self._fetch = fetch
        self._channel: Channel | None = None
        self._incoming = Incoming(FROM_SERVER, State.DOCUMENT)
        self._connection: Connection | None = None
        self._rest: memoryview = memoryview(b"")
        self._offset = 0
        self._size: int | None = None
        self._ended = False
        self._patience = Patience(fetch.options.grace_seconds)

    def readable(self) -> bool:
        """As `io.RawIOBase.readable`: always true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Some of the next bytes; 0 at the end."""
        if not self._rest and not self._ended:
            self._rest = memoryview(self._next())
        count = min(len(self._rest), len(buffer))
        memoryview(buffer)[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Give the channel back; the sender stops sending."""
        if self._channel is not None:
            self._channel.close()
        super().close()

    def _next(self) -> Body:
        """The next part; empty at the end."""
        while True:
            try:
                return self._received(self._open())
            except (PeerMisbehaved, TooSlow) as problem:
                self.sender.drop(problem)
                raise
            except TransferError as problem:
                if self.sender.problem is not None:
                    raise again(self.sender.problem) from problem
                if self._fetch.stopped.is_set():
                    raise
                self._abandon(problem)

    def _abandon(self, problem: TransferError) -> None:
        """Give up the connection: its slot makes another, or gives the sender up."""
        self._channel = None
        if self._connection is not None:
            self._connection.fail(problem)

    def _open(self) -> Channel:
        if self._channel is None:
            self._connection = self.sender.a_connection()
            if self._size not in {None, self._connection.document_size}:
                raise PeerMisbehaved("the sender announced a document of another size than before")
            self._size = self._connection.document_size
            channel = self._connection.link.open(self._fetch.options.reply_seconds)
            channel.send(head(protocol.GetDocument(self._offset)))
            self._channel = channel
            self._incoming = Incoming(FROM_SERVER, State.DOCUMENT)
        return self._channel

    def _received(self, channel: Channel) -> Body:
        began = time.monotonic()
        frame = channel.receive(self._fetch.options.reply_seconds, limit=protocol.PART_LIMIT)
        message = self._incoming.message(frame)
        if frame is None:
            raise PeerUnreachable("the sender ended the channel within the document")
        body = frame[1]
        self._offset += len(body)
        size = self._size or 0
        if isinstance(message, protocol.DocumentSent):
            if body or self._offset != size:
                raise PeerMisbehaved("the sender's document is shorter than it announced")
            self._ended = True
            channel.close()
            return b""
        if not body or self._offset > size:
            raise PeerMisbehaved("the sender's document is longer than it announced")
        self._count(len(body))
        self._patience.waited(time.monotonic() - began, len(body))
        return body

    def _count(self, size: int) -> None:
        connection = self._connection
        if connection is not None:
            self._fetch.meter.add(connection.link.kind, size)
            connection.brought(size)
