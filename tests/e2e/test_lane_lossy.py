"""The lane over a link that delays and loses packets, between two namespaces that lead nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import IO, Self

import pytest

from blixard.peer.lane.tcp import bbr_works
from support import lossy_relay
from support.lanes import FAR_ID, NEAR_ID
from support.lossy_relay import FAR_ADDRESS, NEAR_ADDRESS, LossyLink, lossy_link

PEER = Path(__file__).parents[1] / "support" / "lane_peer.py"
SIZE = 20_000_000

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(lossy_relay.missing() is not None, reason=str(lossy_relay.missing())),
]


class Ends:
    """The two processes."""

    def __init__(self, link: LossyLink, connections: int, congestion: str, size: int) -> None:
        common = [str(connections), congestion, str(size)]
        self.sender = start(link, link.far, "send", FAR_ID, NEAR_ID, NEAR_ADDRESS, *common)
        self.fetcher = start(link, link.near, "fetch", NEAR_ID, FAR_ID, FAR_ADDRESS, *common)

    def transfer(self) -> tuple[dict[str, object], dict[str, object]]:
        offers = [line(process) for process in (self.sender, self.fetcher)]
        say(self.fetcher, offers[0])
        say(self.sender, offers[1])
        ends = line(self.sender), line(self.fetcher)
        for process in (self.sender, self.fetcher):
            say(process, {})
            assert process.wait(30) == 0
        return json.loads(json.dumps(ends[0])), json.loads(json.dumps(ends[1]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.sender, self.fetcher):
            process.kill()
            process.communicate()


def start(link: LossyLink, namespace: str, *arguments: str) -> subprocess.Popen[str]:
    command = [*link.inside(namespace), sys.executable, str(PEER), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> dict[str, object]:
    return dict(json.loads(pipe(process.stdout).readline()))


def say(process: subprocess.Popen[str], value: object) -> None:
    stdin = pipe(process.stdin)
    stdin.write(json.dumps(value) + "\n")
    stdin.flush()


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def test_two_peers_that_only_see_each_other_make_a_lane(tmp_path: Path) -> None:
    with lossy_link(tmp_path, round_trip_ms=2, loss=0) as link, Ends(link, 1, "cubic", 2_000_000) as ends:
        sent, got = ends.transfer()

    assert got["digests"] == sent["digests"]


@pytest.mark.long
@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("congestion", ["cubic", "bbr"])
def test_twenty_megabytes_arrive_whole_though_packets_get_lost(
    tmp_path: Path, congestion: str, connections: int
) -> None:
    if congestion == "bbr" and not bbr_works():
        pytest.skip("this kernel has no BBR, or does not allow it")
    with (
        lossy_link(tmp_path, round_trip_ms=20, loss=0.001) as link,
        Ends(link, connections, congestion, SIZE) as ends,
    ):
        sent, got = ends.transfer()
    rate = SIZE / 1e6 / float(str(got["seconds"]))
    sys.stderr.write(f"\n20 ms, 0.1 % loss, {congestion} x{connections}: {rate:.1f} MB/s\n")

    assert got["digests"] == sent["digests"]
    assert sent["congestion"] == congestion
