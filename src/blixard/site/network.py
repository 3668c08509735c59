"""How this process is on the network: its Iroh endpoint, and the direct lane beside it.

Composed here and not in `peer`, because which of the two there is, is a setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from blixard.errors import StorageError
from blixard.home import Home
from blixard.peer.ports import LaneMaker
from blixard.site.config import LaneChoice

if TYPE_CHECKING:
    from blixard.peer.iroh.endpoint import IrohEndpoint
    from blixard.peer.lane.lane import LaneHost
    from blixard.peer.pace.rate import RateLimit


def peer_id(home: Home) -> str:
    """The id of the node at `home` among peers, 64 hex digits; its key is made when there is none yet.

    Raises:
        Locked, StorageError: `failed to create Iroh node`, and why.
    """
    from blixard.peer.iroh.endpoint import endpoint_id
    from blixard.peer.node_key import read_node_key

    return endpoint_id(read_node_key(home, "peer id"))


class Presence(Struct, frozen=True):
    """This process on the network: its endpoint, its relay, and what makes its lanes."""

    endpoint: IrohEndpoint
    relay: str | None
    lanes: LaneMaker | None
    warnings: tuple[str, ...] = ()
    """What we go without although it was asked for; lower case, no full stop."""


class NetworkSettings(Struct, frozen=True, kw_only=True):
    """How this process is to be on the network.

    Addresses are `ADDR:PORT`; `rate` is in bytes a second and counts both directions together.
    """

    listen: str | None = None
    advertise: tuple[str, ...] = ()
    relay: str | None = None
    lane: LaneChoice = LaneChoice.AUTO
    rate: int | None = None
    lock_wait: float = 0.0
    """Seconds to wait for another process that is the node at the same data directory."""
    relay_seconds: float = 10.0
    """How long a relay is waited for."""

    @contextmanager
    def node(self, home: Home, verb: str) -> Iterator[Presence]:
        """Be the node of `home` until the end of the block.

        Raises:
            Locked, StorageError, TransferError: `failed to create Iroh node`, and why.
        """
        from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint
        from blixard.peer.node_key import hold_node_key
        from blixard.peer.pace.rate import RateLimit

        with ExitStack() as stack:
            key = stack.enter_context(hold_node_key(home, verb, self.lock_wait))
            options = EndpointOptions(listen=self.listen, advertise=self.advertise, relay=self.relay)
            limit = RateLimit(self.rate)
            endpoint = stack.enter_context(IrohEndpoint(key.secret, options, limit=limit))
            warnings: list[str] = []
            relay = self._relay(endpoint, warnings)
            lanes = self._lanes(stack, limit, endpoint, warnings)
            yield Presence(endpoint, relay, lanes, tuple(warnings))

    def _relay(self, endpoint: IrohEndpoint, warnings: list[str]) -> str | None:
        if self.relay is None:
            return None
        found = endpoint.relay_url(self.relay_seconds)
        if found is None:
            silent = f"the relay `{self.relay}` did not answer"
            if self.relay == "default":
                silent = "no relay of the Iroh project answered"
            warnings.append(f"{silent} within {self.relay_seconds:g} s: only direct addresses lead to this node")
        return found

    def _lanes(
        self, stack: ExitStack, limit: RateLimit, endpoint: IrohEndpoint, warnings: list[str]
    ) -> LaneMaker | None:
        """None where it is not wanted or cannot be had: a transfer never fails because of the lane."""
        if self.lane is LaneChoice.IROH:
            return None
        try:
            host = stack.enter_context(self.lane_host(limit, endpoint))
        except StorageError as error:
            warnings.append(
                f"there is no direct lane, disk content goes over Iroh alone: {error.message} ({error.hint})"
            )
            return None
        return host.lane

    @contextmanager
    def lane_host(self, limit: RateLimit, endpoint: IrohEndpoint | None = None) -> Iterator[LaneHost]:
        """What listens for direct lanes, by these settings, until the end of the block.

        Args:
            limit: what the lanes' bytes count for.
            endpoint: beside which the lanes are; it knows our addresses already.

        Raises:
            StorageError: it cannot.
        """
        from blixard.model.addresses import parse_address
        from blixard.peer.lane.dial import Tuning
        from blixard.peer.lane.lane import LaneHost

        host = LaneHost(
            listen=None if self.listen is None else parse_address(self.listen),
            advertise=parse_address(self.advertise[0]) if self.advertise else None,
            tuning=Tuning(sending=limit, receiving=limit),
            found=None if endpoint is None else lambda: [parse_address(each).ip for each in endpoint.addresses()],
        )
        try:
            yield host
        finally:
            host.close()
