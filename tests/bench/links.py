"""Across a link with delay and loss: how much comes in a bounded time, ours both ways and scp.

The sender and the receiver are in two network namespaces. scp is measured as Linux sends by default (cubic), and as it
is on a machine whose default is BBR; ours asks for BBR itself, on the lane.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from . import ours, senders
from .contest import remove
from .inputs import MIB, SEED
from .measure import BenchError, shell
from .peers import TOLD, VM, discard_line, exports
from .senders import Place, Sender

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.lossy_relay import NEAR_ADDRESS, LossyLink, lossy_link, missing

LANE, IROH, SCP, SCP_BBR = "blixard, lane", "blixard, Iroh alone", "scp", "scp, BBR by default"
ROUND_TRIPS = (20, 100)
LOSSES = (0.0, 0.001, 0.01)
_SECONDS, _LEAST_SECONDS = 10.0, 6.0
_ISLANDS = 512
_ISLAND = 64 << 10
"""The disk begins with small records, so that what came over a slow link is counted finely."""


class Link(Struct, frozen=True):
    """Bytes a second by way; median of the rounds."""

    round_trip_ms: int
    loss: float
    rates: dict[str, float]


class Links(Struct, frozen=True):
    """All of them; `problem` says why there are none."""

    links: list[Link]
    first_byte: float | None
    """Seconds from the start of the receiver to its first record, over a link without delay."""
    problem: str | None = None


def cross(work: Path, scale: float, rounds: int) -> Links:
    """Measure each link."""
    problem = missing()
    if problem is not None:
        return Links([], None, problem)
    work.mkdir()
    disk = _disk(work, scale)
    plain, _ = exports(work, disk)
    with lossy_link(work, round_trip_ms=0, loss=0) as link:
        first = _Race(work, disk, plain, link, 0.0).first_byte(rounds)
    links = []
    for round_trip in ROUND_TRIPS:
        for loss in LOSSES:
            with lossy_link(work, round_trip_ms=round_trip, loss=loss) as link:
                rates = _Race(work, disk, plain, link, seconds_for(scale)).rates(rounds)
            links.append(Link(round_trip, loss, rates))
            told = ", ".join(f"{name} {rate / 1e6:.1f}" for name, rate in rates.items())
            print(f"  {round_trip} ms, {100 * loss:g} %: {told} MB/s", flush=True)
    return Links(links, first)


def seconds_for(scale: float) -> float:
    """What each receiver has."""
    return max(_LEAST_SECONDS, _SECONDS * min(1.0, scale))


def _disk(work: Path, scale: float) -> Path:
    disk = work / f"{VM}.raw"
    dice = random.Random(SEED)
    with disk.open("wb") as file:
        for _ in range(_ISLANDS):
            file.write(dice.randbytes(_ISLAND) + bytes(_ISLAND))
        for _ in range(max(64, int(512 * scale))):
            file.write(dice.randbytes(MIB))
    return disk


class _Race(Struct, frozen=True):
    """All ways over one link; `plain` is the export of `disk`, `seconds` what each receiver has."""

    work: Path
    disk: Path
    plain: Path
    link: LossyLink
    seconds: float

    def first_byte(self, rounds: int) -> float:
        """Seconds until the first record is there."""
        with self._share() as share:
            return statistics.median(float(self._told(share, "auto")["first"]) for _ in range(rounds))

    def rates(self, rounds: int) -> dict[str, float]:
        """Bytes a second, in turns."""
        found: dict[str, list[float]] = {}
        with ExitStack() as stack:
            share = stack.enter_context(self._share())
            jobs: dict[str, Callable[[], float]] = {
                LANE: partial(self._ours, share, "auto"),
                IROH: partial(self._ours, share, "iroh"),
            }
            for name, congestion in ((SCP, "cubic"), (SCP_BBR, "bbr")):
                if congestion in _congestion_controls():
                    key = self.work / f"sshd-{congestion}"
                    remove(key)
                    sshd = stack.enter_context(senders.sshd(key, self._near, congestion))
                    jobs[name] = partial(self._scp, sshd, key)
            for _ in range(rounds):
                for name, job in jobs.items():
                    found.setdefault(name, []).append(job())
        return {name: statistics.median(rates) for name, rates in found.items()}

    @property
    def _near(self) -> Place:
        return Place(NEAR_ADDRESS, self.link.inside(self.link.near))

    def _share(self) -> AbstractContextManager[Sender]:
        remove(self.work / "share")
        return senders.share(self.plain, self.work / "share", self._near)

    def _ours(self, share: Sender, lane: str) -> float:
        told = self._told(share, lane)
        if (told["by_kind"].get("tcp", 0) > 0) != (lane == "auto"):
            raise BenchError(f"the lane was to be `{lane}`, and bytes came by {told['by_kind']}")
        return float(told["bytes"] / told["seconds"])

    def _told(self, share: Sender, lane: str) -> dict[str, Any]:
        """What our discarding receiver says."""
        folder = self._fresh()
        command = [*self.link.inside(self.link.far), *shell(discard_line(lane, self.seconds))]
        environment = ours.environment(folder / "data") | {"BLIXARD_TICKET": share.where}
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False)
        if done.returncode != 0:
            said = done.stderr[-2000:].decode(errors="replace")
            raise BenchError(f"our receiver ended with {done.returncode}: {said}")
        told: dict[str, Any] = json.loads((folder / TOLD).read_text())
        return told

    def _scp(self, sshd: Sender, key: Path) -> float:
        """Until the time is over or all is there."""
        got = self._fresh() / "got"
        given = f"{NEAR_ADDRESS}:{self.disk}"
        command = ["scp", "-q", *senders.ssh_options(key), "-P", sshd.where, given, str(got)]
        began = time.monotonic()
        inside = self.link.inside(self.link.far)
        with subprocess.Popen([*inside, *command], env=ours.environment(got.parent)) as receiver:
            try:
                code = receiver.wait(self.seconds)
            except subprocess.TimeoutExpired:
                code = None
            took = time.monotonic() - began
            size = got.stat().st_size if got.exists() else 0
            receiver.terminate()
        if code not in {None, 0}:
            raise BenchError(f"scp ended with {code}")
        return size / took

    def _fresh(self) -> Path:
        folder = self.work / "received"
        remove(folder)
        (folder / "data").mkdir(parents=True)
        return folder


def _congestion_controls() -> list[str]:
    return Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
