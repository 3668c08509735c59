"""Whether this machine can be a node among peers: its key, its Iroh endpoint, its relay, its direct lane.

Everything is done as a share would do it, with its settings, and is gone again at once. Only a relay that the settings
name is called.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from blixard.errors import BlixardError, StorageError, TransferError
from blixard.home import Home
from blixard.model.addresses import EVERY_ADDRESS, LOOPBACK, Ip, parse_address
from blixard.ops.doctor.checks import INSTALL_AGAIN, Check, Verdict, fail, ok, warn
from blixard.peer.node_key import look_at_node_key, node_holders
from blixard.site.config import LaneChoice
from blixard.site.network import NetworkSettings

_CONGESTION = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_RELAY_SECONDS = 2.0
_HANDSHAKE_SECONDS = 2.0


def peer_checks(home: Home, network: NetworkSettings) -> Iterator[Check]:
    """The checks, in the order in which one needs the other."""
    yield _node_key(home)
    if node_holders(home) and network.listen is not None:
        with suppress(ValueError):  # that it is no address, the endpoint will say
            # the share that runs has the port
            network = replace(network, listen=str(replace(parse_address(network.listen), port=0)))
    found = list(_endpoint(network))
    yield from found
    if found[0].verdict is Verdict.FAIL:
        return
    yield _lane(network)
    yield _congestion()


def _node_key(home: Home) -> Check:
    name = "node key"
    holders = ", ".join(f"`{each.verb}` (pid {each.pid})" for each in node_holders(home))
    try:
        there = look_at_node_key(home) is not None
    except StorageError as error:
        return fail(name, error.message, error.hint)
    if holders:
        return ok(name, f"in use by {holders}: this node cannot share or fetch beside it")
    return ok(name, f"`{home.node_key}` is there, and private" if there else "none yet: it is made when it is needed")


def _endpoint(network: NetworkSettings) -> Iterator[Check]:
    """An endpoint under a key of its own, so that it works beside a share."""
    name = "iroh endpoint"
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            from blixard.peer.iroh.endpoint import EndpointOptions, IrohEndpoint

            options = EndpointOptions(listen=network.listen, advertise=network.advertise, relay=network.relay)
            with IrohEndpoint(os.urandom(32), options) as endpoint:
                at = ", ".join(f"`{each}`" for each in endpoint.addresses())
                relay = endpoint.relay_url(_RELAY_SECONDS)
    except ImportError as error:
        yield fail(name, f"the library cannot be loaded: {error}", INSTALL_AGAIN)
        return
    except BlixardError as error:
        yield fail(name, error.message, error.hint)
        return
    if caught:
        yield warn(name, str(caught[0].message), "install `iroh` 1.2")
    else:
        yield ok(name, f"can be made; others would reach it at {at}")
    if network.relay is not None:
        yield _relay(network.relay, relay)


def _relay(wanted: str, found: str | None) -> Check:
    if found is not None:
        return ok("relay", f"`{found}` answers")
    saw = f"`{wanted}` did not answer within {_RELAY_SECONDS:g} s"
    return warn("relay", saw, "without it only direct addresses lead to this node: see `p2p.relay`")


def _lane(network: NetworkSettings) -> Check:
    """A direct lane from this node to itself, over loopback."""
    from blixard.peer.lane.trial import shake_own_hand
    from blixard.peer.pace.deadline import Deadline
    from blixard.peer.pace.rate import RateLimit

    name = "fast lane"
    if network.lane is LaneChoice.IROH:
        return ok(name, "switched off by `p2p.lane`")
    began = time.monotonic()
    try:
        with network.lane_host(RateLimit(None)) as host:
            shake_own_hand(host, _own_ip(network), Deadline(_HANDSHAKE_SECONDS))
            port = host.listener.address.port
    except (StorageError, TransferError) as error:
        hint = error.hint or "look for a local firewall; `--lane iroh` does without"
        return warn(name, f"disk content goes over Iroh alone: {error.message}", hint)
    milliseconds = (time.monotonic() - began) * 1000
    return ok(name, f"TLS over TCP works here: handshake at port {port} in {milliseconds:.0f} ms")


def _own_ip(network: NetworkSettings) -> Ip:
    """Where the lane of these settings can be dialled on this machine."""
    ip = EVERY_ADDRESS[4] if network.listen is None else parse_address(network.listen).ip
    return LOOPBACK[ip.version] if ip.is_unspecified else ip


def _congestion() -> Check:
    from blixard.peer.lane.tcp import bbr_works

    name = "congestion control"
    if bbr_works():
        return ok(name, "TCP with BBR: lost packets do not slow the fast lane down")
    saw = "TCP without BBR: the fast lane is slow where packets are lost"
    there = _CONGESTION.read_text().split() if _CONGESTION.exists() else []
    if "bbr" in there:
        return warn(name, saw, "allow it: `sysctl net.ipv4.tcp_allowed_congestion_control='reno cubic bbr'`")
    return warn(name, saw, "`modprobe tcp_bbr` on the sending side, if its kernel has it")
