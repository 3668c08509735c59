"""This node on Iroh: one endpoint that connects and listens.

Offline first: the minimal preset, no DNS, no relay, direct addresses only, so that an air-gapped network works and
nothing is told to third parties, unless a relay was asked for. What strangers send here costs bounded time and room.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from blixard.closing import Closing
from blixard.errors import PeerMisbehaved, PeerUnreachable, TransferError, UsageError
from blixard.model.addresses import SocketAddress, parse_address
from blixard.peer.iroh.binding import load
from blixard.peer.iroh.link import IrohLink, message_of, system_error_of
from blixard.peer.iroh.listener import IrohListener
from blixard.peer.iroh.loop import release, shared_loop
from blixard.peer.node_key import FAILED
from blixard.peer.pace.rate import UNLIMITED, RateLimit
from blixard.peer.wire.addresses import MOST, companion, parse_remote, to_advertise
from blixard.peer.wire.protocol import ALPN

if TYPE_CHECKING:
    from iroh import Connection, Endpoint, EndpointAddr, EndpointBuilder, Incoming, RelayMode

_OUR_WINDOW = 32 << 20
"""Bytes that whom we called may have under way to us on all channels together: enough for 300 MB/s at 100 ms."""
_THEIR_WINDOW = 2 << 20
"""The same for callers: they send requests, and hostile ones come in numbers."""
_HANDSHAKES = 64
"""Handshakes under way; a further caller is sent away at once and comes again."""
_UNPROVEN = 16
"""Handshakes under way from which on a caller must first show that it is at its address (QUIC Retry, which costs us no
room): packets with addresses of others take no place."""
_HANDSHAKE_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
"""For telling the peers that we go; on a dead network nobody hears it, and Iroh would wait for 3 s."""


class EndpointOptions(Struct, frozen=True, kw_only=True):
    """Where an endpoint listens, what it calls, and which relay it may use.

    Attributes:
        listen: `ADDR:PORT` for UDP; None for every interface and a free port.
        advertise: `ADDR:PORT`s that go into tickets in front of those found, for firewalls that forward.
        relay: None for none, `default` for those of the Iroh project, or the URL of an own one.
        protocol: what it speaks, as QUIC's ALPN.
    """

    listen: str | None = None
    advertise: tuple[str, ...] = ()
    relay: str | None = None
    protocol: bytes = ALPN


class IrohEndpoint(Closing):
    """As `Endpoint`; close it, or use it as a context manager.

    Args:
        secret: the 32 bytes of the node key.
        options: where it listens, and by which relay.
        limit: what bodies may take on all links, both ways together; shared with the lane.

    Raises:
        TransferError: `failed to create Iroh node`, and why.
        UsageError: an option is not an address.
    """

    def __init__(self, secret: bytes, options: EndpointOptions | None = None, *, limit: RateLimit = UNLIMITED) -> None:
        self._options = options = options or EndpointOptions()
        self._limit = limit
        self._listen = None if options.listen is None else _option("p2p.listen", options.listen, parse_address)
        self._advertise = tuple(str(_option("p2p.advertise", each, parse_remote)) for each in options.advertise)
        relays = _relay_mode(options.relay)
        self._gate = threading.Lock()
        self._closed = False
        self._listener: IrohListener | None = None
        self._links: weakref.WeakSet[IrohLink] = weakref.WeakSet()
        self._connecting: set[asyncio.Task[IrohLink]] = set()
        self.greeting = 0
        """Handshakes with callers that are under way."""
        self._has_listened = False
        self._loop = shared_loop()
        try:
            endpoint = self._loop.run(self._bind(secret, relays))
        except BaseException:
            release(self._loop)
            raise
        self._endpoint: Endpoint | None = endpoint
        self.id = str(endpoint.id())

    def sockets(self) -> list[str]:
        """What it is bound to, `ADDR:PORT` each; Iroh binds one for each address family."""
        return self._live().bound_sockets()

    def addresses(self) -> tuple[str, ...]:
        """Where others reach us, for a ticket; interfaces that come and go are seen."""
        found = to_advertise(self.sockets(), self._live().addr().direct_addresses(), self._listen)
        return tuple(dict.fromkeys((*self._advertise, *found)))[:MOST]

    def relay_url(self, timeout: float) -> str | None:
        """The relay by which others reach us, for a ticket; None when there is none within `timeout` seconds."""
        if self._options.relay is not None:
            self._loop.run(self._online(self._live(), timeout))
        return self._live().addr().relay_url()

    def connect(
        self, endpoint_id: str, addresses: tuple[str, ...], relay: str | None, timeout: float | None
    ) -> IrohLink:
        """As `Endpoint.connect`. A relay is used only when we were told to use relays."""
        if endpoint_id == self.id:
            raise TransferError("the ticket names this very node", hint="use it with another data directory")
        address = self._address_of(endpoint_id, addresses, relay)
        hint = _NOBODY_HINT
        if relay is not None and self._options.relay is None:
            hint = f"the sender can also be reached by a relay: `--relay {relay}`"
        return self._loop.run(self._connect(self._live(), address, timeout, hint))

    def listen(self) -> IrohListener:
        """As `Endpoint.listen`."""
        endpoint = self._live()
        listener = IrohListener(self.addresses, self._stop_listening)
        with self._gate:
            self._listener = listener
            self._has_listened = True
        endpoint.set_alpns([self._options.protocol])
        return listener

    def close(self) -> None:
        """As `Endpoint.close`; waits a moment for the peers to hear of it."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            listener, links = self._listener, list(self._links)
        if listener is not None:
            listener.close()
        for link in links:
            link.close()
        try:
            self._loop.run(self._shut_down(self._live()))
        finally:
            # its sockets go with the last object that knows it; a cancelled task knows what it was doing
            del self._taking
            self._endpoint = None
            release(self._loop)

    async def _bind(self, secret: bytes, relays: RelayMode) -> Endpoint:
        ffi = load()
        try:
            endpoint = await self._builder(secret, relays).bind()
        except ffi.IrohError as error:
            at = f" on `{self._listen}`" if self._listen else ""
            raise TransferError(
                f"{FAILED}: cannot bind{at}: {system_error_of(error)}",
                hint="another program may have that port; choose one with `--p2p-listen ADDR:PORT`",
            ) from error
        self._taking = self._loop.spawn(self._take_callers(endpoint))
        return endpoint

    def _builder(self, secret: bytes, relays: RelayMode) -> EndpointBuilder:
        builder: EndpointBuilder = load().EndpointBuilder()
        builder.apply_minimal()
        builder.secret_key(secret)
        builder.relay_mode(relays)
        if self._listen is not None:
            builder.bind_addr(str(self._listen))
            other = companion(self._listen)
            if other is not None:
                builder.bind_addr(str(other))
        return builder

    def _address_of(self, endpoint_id: str, addresses: tuple[str, ...], relay: str | None) -> EndpointAddr:
        ffi = load()
        try:
            direct = [str(parse_remote(each)) for each in addresses[:MOST]]
        except ValueError as error:
            raise TransferError(f"the peer's address makes no sense: {error}") from error
        usable = relay if self._options.relay is not None else None
        if not direct and usable is None:
            raise PeerUnreachable(
                "the ticket names no direct address",
                hint="its sender has no network, or can be reached by a relay only: see `p2p.relay`",
            )
        try:
            address: EndpointAddr = ffi.EndpointAddr(ffi.EndpointId.from_string(endpoint_id), usable, direct)
        except ffi.IrohError as error:
            raise TransferError("the peer's endpoint id makes no sense") from error
        return address

    async def _connect(self, endpoint: Endpoint, address: EndpointAddr, seconds: float | None, hint: str) -> IrohLink:
        ffi = load()
        task = asyncio.ensure_future(self._dial(endpoint, address, seconds))
        self._connecting.add(task)
        try:
            return await task
        except TimeoutError:
            raise PeerUnreachable(_nobody(address), hint=hint) from None
        except ffi.IrohError as error:
            raise _not_connected(address, error, hint) from error
        finally:
            self._connecting.discard(task)

    async def _dial(self, endpoint: Endpoint, address: EndpointAddr, seconds: float | None) -> IrohLink:
        async with asyncio.timeout(seconds):
            return self._link(await endpoint.connect(address, self._options.protocol), _OUR_WINDOW)

    async def _take_callers(self, endpoint: Endpoint) -> None:
        """Answer every caller for as long as the endpoint is there: those that nobody takes would queue up in it."""
        ffi = load()
        while (incoming := await endpoint.accept_next()) is not None:
            # a caller can fail at every step, which must not end the loop
            with suppress(ffi.IrohError, ffi.InternalError):
                if not self._has_listened:
                    await incoming.ignore()  # who only fetches does not show that he is there
                elif self._listener is None:
                    await incoming.refuse()
                elif self.greeting >= _UNPROVEN and not await incoming.remote_addr_validated():
                    await incoming.retry()
                elif self.greeting >= _HANDSHAKES:
                    await incoming.refuse()
                else:
                    self._loop.spawn(self._greet(incoming))

    async def _greet(self, incoming: Incoming) -> None:
        ffi = load()
        self.greeting += 1
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                connection = await (await incoming.accept()).connect()
            link = self._link(connection, _THEIR_WINDOW)
            listener = self._listener
            if listener is None or not listener.deliver(link):
                link.close("busy")
        except (ffi.IrohError, ffi.InternalError, TimeoutError, TransferError):
            return  # the caller broke off, or spoke something else: its loss
        finally:
            self.greeting -= 1

    def _link(self, connection: Connection, window: int) -> IrohLink:
        link = IrohLink(self._loop, connection, self.id, window=window, limit=self._limit)
        with self._gate:
            if not self._closed:
                self._links.add(link)
                return link
        link.close()
        raise TransferError("the endpoint is closed")

    def _stop_listening(self, listener: IrohListener) -> None:
        with self._gate:
            if self._listener is not listener:
                return
            self._listener = None
            endpoint = self._endpoint
        if endpoint is not None:
            endpoint.set_alpns([])

    async def _online(self, endpoint: Endpoint, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(endpoint.online(), seconds)

    async def _shut_down(self, endpoint: Endpoint) -> None:
        for task in self._connecting:
            task.cancel()
        with suppress(TimeoutError, load().IrohError):
            await asyncio.wait_for(endpoint.close(), _CLOSE_SECONDS)
        self._taking.cancel()

    def _live(self) -> Endpoint:
        endpoint = self._endpoint
        if endpoint is None:
            raise TransferError("the endpoint is closed")
        return endpoint


def endpoint_id(secret: bytes) -> str:
    """The id that an endpoint with this node key has: 64 hex digits."""
    return str(load().SecretKey.from_bytes(secret).public())


def _option(name: str, text: str, parse: Callable[[str], SocketAddress]) -> SocketAddress:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(
            f"`{name}`: `{text}`: {error}", hint="as in `192.0.2.7:7400` or `[2001:db8::7]:7400`"
        ) from error


def _relay_mode(relay: str | None) -> RelayMode:
    ffi = load()
    mode: RelayMode
    try:
        if relay is None:
            mode = ffi.RelayMode.disabled()
        else:
            mode = ffi.RelayMode.default_mode() if relay == "default" else ffi.RelayMode.custom_from_urls([relay])
    except ffi.IrohError as error:
        raise UsageError(
            f"`p2p.relay`: `{relay}` is not a URL", hint="as in `https://relay.example`, or `default`"
        ) from error
    return mode


_NOBODY_HINT = "is the share still running, and does a firewall let UDP through to it?"


def _nobody(address: EndpointAddr) -> str:
    at = ", ".join(f"`{each}`" for each in address.direct_addresses()[:4])
    return f"no answer from the peer at {at or 'its relay'}"


def _not_connected(address: EndpointAddr, error: Exception, hint: str) -> TransferError:
    """Kinds do not tell these apart; the texts are those of rustls, in iroh since the first version."""
    text = str(getattr(error, "message", str)())
    if "UnknownIssuer" in text:
        return PeerUnreachable(
            f"{_nobody(address)}: another node answers there",
            hint="the ticket is of a node that has moved; ask its sender for a new one",
        )
    if "known protocol" in text or "error 120" in text:
        return PeerMisbehaved(
            f"the peer does not speak `{ALPN.decode()}`",
            hint="it runs another version of blixard, or shares nothing now",
        )
    return PeerUnreachable(f"{_nobody(address)}: {message_of(error)}", hint=hint)
