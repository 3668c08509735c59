"""The promised lines between two sites whose link delays and loses packets: no route out, no DNS, either way of bytes.

Sizes are what the slowest of the two ways carries in a few seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from blixard.peer.lane.tcp import bbr_works
from support import lossy_relay
from support.cuts import Original, an_original
from support.lossy_relay import LossyLink, lossy_link
from support.processes import environment, finish, start
from support.shares import Share, running
from support.world import World, picture

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(lossy_relay.missing() is not None, reason=str(lossy_relay.missing())),
]

COUNTED_FETCH = Path(lossy_relay.__file__).with_name("counted_fetch.py")
SIZES = {"auto": 12_000_000, "iroh": 1_000_000}
SECONDS = {"auto": 30, "iroh": 60}
"""Much more than it takes on an idle machine: 3 to 5, and 2 to 15."""


@pytest.fixture(scope="module")
def originals() -> Iterator[dict[str, Original]]:
    with ExitStack() as stack:
        yield {lane: stack.enter_context(an_original(size)) for lane, size in SIZES.items()}


@pytest.fixture
def there(empty: World) -> World:
    return empty


def exporting(original: Original, link: LossyLink, lane: str) -> subprocess.Popen[bytes]:
    world = original.world
    command = ("cluster", "export", "-o", world.out / "backup.json", "-c", "web", "--p2p-share", "--share-uses", "1")
    more = ("--include-images", "--no-compress", "--lane", lane, "--json")
    return start(world, *command, *more, before=link.inside(link.far))


LOSSY = [(20, 0.001), (20, 0.01), (100, 0.001), (100, 0.01)]
"""Milliseconds there and back, share of packets lost each way."""
ALWAYS = [("iroh", LOSSY[0]), ("auto", LOSSY[3])]
LONG = [(lane, path) for lane in SIZES for path in LOSSY if (lane, path) not in ALWAYS]


@pytest.mark.parametrize(("lane", "path"), [*ALWAYS, *(pytest.param(*each, marks=pytest.mark.long) for each in LONG)])
def test_a_share_comes_through_a_link_with_delay_and_loss(
    originals: dict[str, Original], there: World, tmp_path: Path, lane: str, path: tuple[float, float]
) -> None:
    if lane == "auto" and not bbr_works():
        pytest.skip("this kernel has no BBR, or does not allow it: the lane is no faster")
    original = originals[lane]
    with (
        lossy_link(tmp_path, round_trip_ms=path[0], loss=path[1]) as link,
        running(exporting(original, link, lane)) as process,
    ):
        share = Share(process)
        began = time.monotonic()
        command = ["cluster", "import", "-i", share.ticket, "--p2p", "--lane", lane, "--json"]
        ran = finish(start(there, *command, before=link.inside(link.near)))
        seconds = time.monotonic() - began
        report = share.end(0)

    assert ran.code == 0, ran
    assert json.loads(ran.out)["resumed"] is False
    assert picture(there)["web"].disks == picture(original.world)["web"].disks
    [receiver] = report["receivers"]
    sent = receiver["sent_by_kind"]
    if lane == "iroh":
        assert set(sent) == {"iroh"}
    else:
        assert sent["tcp"] > original.size / 2, sent
    assert seconds < SECONDS[lane], (seconds, sent)


def test_a_fetch_over_iroh_alone_takes_more_connections_by_itself_where_packets_get_lost(
    there: World, tmp_path: Path
) -> None:
    with (
        an_original(60_000_000) as original,
        lossy_link(tmp_path, round_trip_ms=20, loss=0.001) as link,
        running(exporting(original, link, "iroh")) as process,
    ):
        command = [*link.inside(link.near), sys.executable, str(COUNTED_FETCH), str(there.data)]
        told = subprocess.run(
            command, env=environment(BLIXARD_TICKET=Share(process).ticket), capture_output=True, check=True, timeout=60
        )

    assert json.loads(told.stdout)["links"] > 1
