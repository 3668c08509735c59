"""Two network namespaces and a link between them that delays and drops packets; nothing leads out of either.

The machines have no netem, so a small C program carries the packets between two TUN devices. It is compiled where it is
used; a test asks `missing()` first and says so when root, a compiler or TUN is not there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

NEAR_ADDRESS = "10.77.0.1"
FAR_ADDRESS = "10.77.0.2"
_SOURCE = Path(__file__).with_name("lossy_relay.c")


class LossyLink(msgspec.Struct, frozen=True):
    """The namespaces at its ends, where NEAR_ADDRESS and FAR_ADDRESS are."""

    near: str
    far: str

    def inside(self, namespace: str) -> tuple[str, ...]:
        """What a command is put after to run in there."""
        return ("ip", "netns", "exec", namespace)


def missing() -> str | None:
    """Why there can be no such link here; None when there can."""
    if os.geteuid() != 0:
        return "namespaces and TUN devices need root"
    for tool in ("gcc", "ip"):
        if shutil.which(tool) is None:
            return f"`{tool}` is not installed"
    if not Path("/dev/net/tun").exists():
        return "this kernel has no TUN devices"
    return None


@contextmanager
def lossy_link(folder: Path, *, round_trip_ms: float, loss: float) -> Iterator[LossyLink]:
    """A link as long as the block lasts.

    Args:
        folder: for the compiled program.
        round_trip_ms: half of it each way.
        loss: share of packets lost each way, 0 to 1.
    """
    program = folder / "lossy_relay"
    subprocess.run(["gcc", "-O2", "-o", program, _SOURCE], check=True)
    link = LossyLink(*(f"blixard-{side}-{os.getpid()}" for side in ("near", "far")))
    try:
        for namespace in (link.near, link.far):
            _ip("netns", "add", namespace)
        numbers = [str(int(round_trip_ms * 500)), str(int(loss * 1_000_000))]
        with subprocess.Popen(
            [program, link.near, link.far, *numbers], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as relay:
            assert relay.stdout is not None
            assert relay.stdout.readline() == b"ready\n"
            _bring_up(link.near, NEAR_ADDRESS)
            _bring_up(link.far, FAR_ADDRESS)
            yield link
            assert relay.stdin is not None
            relay.stdin.close()
    finally:
        for namespace in (link.near, link.far):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", namespace)


def _bring_up(namespace: str, address: str) -> None:
    _ip("-n", namespace, "link", "set", "lo", "up")
    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "lossy0")
    _ip("-n", namespace, "link", "set", "lossy0", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
