"""The options of every command that goes on the network, and what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from blixard.cli.options import size
from blixard.errors import UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.site.network import NetworkSettings

SLOWEST = 64 << 10
"""Bytes a second below which a channel of a transfer counts as stalled on the other side."""


def network_options(function: Any) -> Any:
    """`--p2p-...`, `--lane`, `--limit-rate`: settings `p2p.*` for one run."""
    for option in (
        click.option(
            "--limit-rate", type=size, metavar="SIZE", help="Bytes a second at most, `10MiB`  [p2p.limit_rate]"
        ),
        click.option("--lane", type=click.Choice(["auto", "iroh", "tcp"]), help="Ways for disk content  [p2p.lane]"),
        click.option("--relay", metavar="URL", help="A relay, or `default`: tells third parties  [p2p.relay]"),
        click.option(
            "--p2p-advertise", multiple=True, metavar="ADDR:PORT", help="Put into the ticket  [p2p.advertise]"
        ),
        click.option("--p2p-listen", metavar="ADDR:PORT", help="Listen there  [p2p.listen]"),
    ):
        function = option(function)
    return function


def network_of(session: Session, given: dict[str, Any]) -> NetworkSettings:
    """The network of one run: options over settings; takes its options out of `given`."""
    from blixard.site.network import LaneChoice, NetworkSettings

    config = session.config
    rate = given.pop("limit_rate", None) or config.optional("p2p.limit_rate", int)
    if rate is not None and rate < SLOWEST:
        raise UsageError(
            f"a rate of {rate} bytes a second is too slow: the other side would give us up",
            hint="at least `64KiB`",
        )
    return NetworkSettings(
        listen=given.pop("p2p_listen", None) or config.optional("p2p.listen", str),
        advertise=tuple(given.pop("p2p_advertise", ())) or config.get("p2p.advertise", tuple),
        relay=given.pop("relay", None) or config.optional("p2p.relay", str),
        lane=LaneChoice(given.pop("lane", None) or config.get("p2p.lane", str)),
        rate=rate,
        lock_wait=session.lock_wait,
    )


def refuse_qr(session: Session, given: dict[str, Any]) -> None:
    """Stop when a QR code was asked for where standard output is JSON: nobody would see it.

    Raises:
        UsageError: it was.
    """
    if given["qr"] and session.out.json:
        raise UsageError("`--qr` draws on standard output, which `--json` keeps for programs", hint="leave one out")
