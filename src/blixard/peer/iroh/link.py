"""A QUIC connection of Iroh as a `Link`, one of its streams as a `Channel`.

Calls block in the caller's thread and run as one coroutine each in the loop's: a frame crosses between the threads
once. A call that runs out of time drops its stream, because a read that is cancelled loses what it had read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError
from blixard.model.structs import JsonObject
from blixard.peer.iroh.binding import READ_BYTES, load, read_into
from blixard.peer.iroh.loop import LoopThread
from blixard.peer.pace.rate import UNLIMITED, RateLimit
from blixard.peer.ports import BODY_BYTES, STALL_SECONDS, Body, Frame, body_seconds
from blixard.peer.wire.frames import FrameReader, encode_frame

if TYPE_CHECKING:
    from iroh import BiStream, Connection

T = TypeVar("T")

_AHEAD_BYTES = 64 << 10
"""A read takes so much more than the field at hand needs (a length, a head, the end of a body), so that what follows
costs no call of its own; a shorter piece is sent with the next for the same reason."""
_STREAMS = 64
"""Channels that the peer may have open towards us; more wait on its side."""
_OPENED = b"\0"
"""The first byte of every stream, from the side that opens it."""
_REASON_CHARS = 100
_ENOUGH = 0
"""Code with which we stop the peer's stream when we have finished and are not within a frame: nothing went wrong."""
_DROPPED = 1
"""Code with which we stop or reset streams otherwise."""


class IrohLink:
    """A link over Iroh; `Link` says what its methods promise.

    Args:
        loop: where the binding's calls run.
        connection: after its handshake.
        local_id: our endpoint's.
        window: bytes that the peer may have under way to us; what we do not take lies in memory.
        limit: what bodies may take, both ways together.
    """

    kind = "iroh"

    def __init__(
        self, loop: LoopThread, connection: Connection, local_id: str, *, window: int, limit: RateLimit = UNLIMITED
    ) -> None:
        self._loop = loop
        # the object must live as long as the link: the binding closes a connection with its last object
        self.connection = connection
        """The binding's own."""
        self._accepting: asyncio.Task[BiStream] | None = None
        self._turn = asyncio.Lock()
        self.local_id = local_id
        self.remote_id = str(connection.remote_id())
        self.closed = False
        self.limit = limit
        connection.set_max_concurrent_bi_streams(_STREAMS)
        connection.set_max_concurrent_uni_streams(0)
        connection.set_receive_window(window)

    @property
    def remote_addresses(self) -> tuple[str, ...]:
        """Addresses of the paths to the peer, the one in use first."""
        paths = sorted((path for path in self.connection.paths() if path.is_ip), key=lambda path: not path.is_selected)
        return tuple(dict.fromkeys(path.remote_addr for path in paths))

    def open(self, timeout: float | None) -> IrohChannel:
        """As `Link.open`."""
        return IrohChannel(self._loop, self, self._run(self._open(timeout)))

    def accept(self, timeout: float | None) -> IrohChannel:
        """As `Link.accept`."""
        return IrohChannel(self._loop, self, self._run(self._accept(timeout)))

    def close(self, reason: str = "") -> None:
        """As `Link.close`."""
        self.closed = True
        with suppress(load().IrohError):
            self.connection.close(0, reason.encode("ascii", "replace")[:_REASON_CHARS])

    def lost(self, error: Exception) -> TransferError:
        """What an `IrohError` on this link means. Its `str` is empty and its message is Rust's, so we say it."""
        if self.closed:
            return TransferError("the connection is closed")
        reason = self.connection.close_reason()
        if reason is not None:
            return PeerUnreachable(f"the connection to the peer was lost: {_plain(reason)}")
        return PeerUnreachable(f"the peer dropped the channel: {_plain(message_of(error))}")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(self._translated(work))

    async def _translated(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except load().IrohError as error:
            raise self.lost(error) from error

    async def _open(self, seconds: float | None) -> BiStream:
        try:
            async with asyncio.timeout(seconds):
                stream = await self.connection.open_bi()
                # QUIC tells the peer of a stream only with its first byte, and the one who opens may also be who waits
                await stream.send().write_all(_OPENED)
                return stream
        except TimeoutError:
            raise PeerUnreachable(f"the peer took no further channel for {seconds:g} s") from None

    async def _accept(self, seconds: float | None) -> BiStream:
        try:
            async with asyncio.timeout(seconds), self._turn:
                if self._accepting is None:
                    self._accepting = asyncio.ensure_future(self.connection.accept_bi())
                # it outlives a call that runs out of time: a stream that came in that moment would be lost
                await asyncio.wait({self._accepting})
                accepted, self._accepting = self._accepting, None
                stream = accepted.result()
                if await stream.recv().read_exact(len(_OPENED)) != _OPENED:
                    raise PeerMisbehaved("the peer opened a stream that is no channel")
                return stream
        except TimeoutError:
            raise PeerUnreachable(f"the peer opened no channel for {seconds:g} s") from None


class IrohChannel:
    """A channel over one stream; `Channel` says what its methods promise."""

    def __init__(self, loop: LoopThread, link: IrohLink, stream: BiStream) -> None:
        self._loop = loop
        self._link = link
        self._out = stream.send()
        self._in = stream.recv()
        self._reader = FrameReader()
        self._buffer = bytearray(_AHEAD_BYTES)
        self._ahead = memoryview(self._buffer)[:0]
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = self._finished = self._closed = False

    def send(self, head: JsonObject, body: Body = b"") -> None:
        """As `Channel.send`."""
        pieces = encode_frame(head, body)
        if self._finished:
            raise TransferError("the channel is finished")
        if self._link.limit.limited:
            pieces = self._send_slowly(pieces)
        self._run(self._write(pieces, STALL_SECONDS + body_seconds(len(body))))

    def receive(self, timeout: float | None, *, limit: int = BODY_BYTES) -> Frame | None:
        """As `Channel.receive`."""
        if self._ended and not self._closed:
            return None
        frame = self._run(self._read(timeout, limit))
        left = 0 if frame is None else len(frame[1])
        while left:  # what we do not read, the peer cannot send
            left -= self._link.limit.grant(left)
        return frame

    def finish(self) -> None:
        """As `Channel.finish`: returns when the peer's side has acknowledged all of it."""
        if not self._finished:
            self._run(self._finish())
            self._finished = True

    def close(self) -> None:
        """As `Channel.close`."""
        if not self._closed:
            self._closed = True
            self._loop.soon(lambda: self._loop.spawn(self._drop()))

    def _send_slowly(self, pieces: list[Body]) -> list[Body]:
        """Send a large frame as the rate grants it; waiting is ours and no stall of the peer. The rest is returned."""
        left: list[Body] = []
        for piece in pieces:
            view: memoryview = memoryview(piece)
            if len(view) <= _AHEAD_BYTES:
                left.append(view)
                continue
            self._run(self._write(left, STALL_SECONDS))
            left = []
            while view:
                granted = self._link.limit.grant(len(view))
                self._run(self._write([view[:granted]], STALL_SECONDS + body_seconds(granted)))
                view = view[granted:]
        return left

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run(self._guarded(work))
        except BaseException:  # an interrupted read or write has left half a frame
            self.close()
            raise

    async def _guarded(self, work: Coroutine[Any, Any, T]) -> T:
        """`work` as a task that `close` can cancel, with the binding's errors as ours."""
        if self._closed:
            work.close()
            raise TransferError("the channel is closed")
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        try:
            return await task
        except load().IrohError as error:
            raise self._link.lost(error) from error
        except asyncio.CancelledError:
            task.cancel()
            if self._closed:
                raise TransferError("the channel is closed") from None
            raise
        finally:
            self._tasks.discard(task)

    async def _write(self, pieces: list[Body], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                for portion in portions(pieces):
                    await self._out.write_all(portion)  # type: ignore[arg-type]  # any buffer
        except TimeoutError:
            raise PeerUnreachable(f"the peer took nothing for {seconds:.0f} s") from None

    async def _read(self, seconds: float | None, limit: int) -> Frame | None:
        self._reader.limit = limit
        in_body = False
        try:
            async with asyncio.timeout(seconds) as clock:
                while not self._ended:
                    frame = await self._step()
                    if frame is not None:
                        return frame
                    if not in_body and self._reader.body_length:
                        in_body = True
                        when = clock.when()
                        clock.reschedule(None if when is None else when + body_seconds(self._reader.body_length))
        except TimeoutError:
            raise PeerUnreachable("the peer sent no whole frame in time") from None
        return None

    async def _step(self) -> Frame | None:
        """Take what was read ahead, or read: straight into its place, and what comes behind that ahead."""
        reader = self._reader
        with reader.room() as room:
            if self._ahead:
                count = min(len(room), len(self._ahead))
                room[:count] = self._ahead[:count]
                self._ahead = self._ahead[count:]
            else:
                beyond = memoryview(self._buffer)
                count, more = await read_into(self._in, room, beyond)
                self._ahead = beyond[:more]
        if count:
            return reader.filled(count)
        reader.end()
        self._ended = True
        return None

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._out.finish()
                code = await self._out.stopped()
        except TimeoutError:
            raise PeerUnreachable(f"the peer took nothing for {STALL_SECONDS:g} s") from None
        # who has what it wanted may close before the very end of ours came to it
        if code not in (None, _ENOUGH):
            raise PeerUnreachable("the peer dropped the channel")

    async def _drop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            # a stream is locked while it is read or written: `stop` would wait for ever
            await asyncio.wait(tasks)
        with suppress(load().IrohError):
            await self._in.stop(_ENOUGH if self._finished and self._reader.between else _DROPPED)
        if not self._finished:
            with suppress(load().IrohError):
                await self._out.reset(_DROPPED)


def portions(pieces: list[Body]) -> Iterator[Body]:
    """What to write in one call each, about `READ_BYTES`: what is small goes with its neighbour, as calls cost more."""
    held: Body = b""
    for piece in pieces:
        view: memoryview = memoryview(piece)
        while view:
            taken = READ_BYTES if len(view) > READ_BYTES + _AHEAD_BYTES else len(view)
            portion: Body
            portion, view = view[:taken], view[taken:]
            if held:
                portion, held = b"".join((held, portion)), b""
            if len(portion) <= _AHEAD_BYTES:
                held = portion
            else:
                yield portion
    if held:
        yield held


def message_of(error: Exception) -> str:
    """The last line of what Iroh says: the lines above are places in its source."""
    message = getattr(error, "message", None)
    text = str(message()) if callable(message) else str(error)
    return text.strip().rpartition("\n")[2].strip()


def system_error_of(error: Exception) -> str:
    """What the system said, which Iroh keeps for the debug text; else as `message_of`."""
    debug = getattr(error, "debug_message", None)
    found = re.search(r"^\s*(\S.*) \(os error \d+\)$", str(debug()) if callable(debug) else "", re.MULTILINE)
    text = found[1] if found else message_of(error)
    return text[:1].lower() + text[1:]


def _plain(text: str) -> str:
    """`text`, which the peer may have written, fit for a message."""
    return "".join(each for each in text if each.isprintable())[: 2 * _REASON_CHARS]
