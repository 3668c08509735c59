"""The options of every command that goes on the network, and what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import Struct

from blixard.cli.options import group, size, values_of
from blixard.errors import UsageError
from blixard.site.config import LaneChoice

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.site.network import NetworkSettings

SLOWEST = 64 << 10
"""Bytes a second below which a channel of a transfer counts as stalled on the other side."""


class NetworkFlags(Struct, frozen=True, kw_only=True):
    """Settings `p2p.*` for one run, as given."""

    p2p_listen: str | None = None
    p2p_advertise: tuple[str, ...] = ()
    relay: str | None = None
    lane: str | None = None
    limit_rate: int | None = None
    """Bytes a second."""


network_options = group(
    "network",
    NetworkFlags,
    click.option("--p2p-listen", metavar="ADDR:PORT", help="Listen there  [p2p.listen]"),
    click.option("--p2p-advertise", multiple=True, metavar="ADDR:PORT", help="Put into the ticket  [p2p.advertise]"),
    click.option("--relay", metavar="URL", help="A relay, or `default`: tells third parties  [p2p.relay]"),
    click.option("--lane", type=click.Choice(values_of(LaneChoice)), help="Ways for disk content  [p2p.lane]"),
    click.option("--limit-rate", type=size, metavar="SIZE", help="Bytes a second at most, `10MiB`  [p2p.limit_rate]"),
)


def network_of(session: Session, flags: NetworkFlags) -> NetworkSettings:
    """The network of one run: options over settings."""
    from blixard.site.network import NetworkSettings

    config = session.config
    rate = flags.limit_rate or config.optional("p2p.limit_rate", int)
    if rate is not None and rate < SLOWEST:
        raise UsageError(
            f"a rate of {rate} bytes a second is too slow: the other side would give us up",
            hint="at least `64KiB`",
        )
    return NetworkSettings(
        listen=flags.p2p_listen or config.optional("p2p.listen", str),
        advertise=flags.p2p_advertise or config.get("p2p.advertise", tuple),
        relay=flags.relay or config.optional("p2p.relay", str),
        lane=LaneChoice(flags.lane) if flags.lane else config.get("p2p.lane", LaneChoice),
        rate=rate,
        lock_wait=session.lock_wait,
    )


def refuse_qr(session: Session, *, qr: bool) -> None:
    """Stop when a QR code was asked for where standard output is JSON: nobody would see it.

    Raises:
        UsageError: it was.
    """
    if qr and session.out.json:
        raise UsageError("`--qr` draws on standard output, which `--json` keeps for programs", hint="leave one out")
