"""The part about peers as a page, and its bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from . import links, peers
from .bars import MEMORY_MIB, Bar
from .inputs import MIB
from .links import Links
from .peers import Moved
from .report import bars_table, machine_section, table
from .transfer import Ends

ISSUE, PEER = "issue 4", "PEER.md"
_LOSSY = (20, 0.001)
"""Round trip in ms and loss of the link that the bars are about."""
_HEAD = """\
# Benchmarks of peers

Written by `make bench`, beside [those of disks](benchmarks.md). A disk of random data goes from one process to another
on the same machine, in turns (A B C, A B C): `cluster import --p2p` and `cluster fetch` of an export that
`cluster share` serves, over the fast lane and over Iroh alone; the blobs of iroh 0.35; `scp` from an sshd that the
bench starts; an rsync daemon; `curl` from Python's `http.server`. Both ends share the machine's cores. Every receiver
is started anew, with a key that was made before, as that of scp is; its time is that of its process, with everything
that it loads and checks, and on the way to disk it ends when the file system is written back. Discarded is checked and
thrown away: ours by a small program on the same parts, iroh 0.35 into memory, the others to `/dev/null`. What came to
disk is compared byte by byte (a fetched export checks itself). Figures are medians, of memory the most; MB are 10^6
bytes of disk. iroh 0.35 spends three seconds looking for a network when it starts, and those are left out."""
_LINKS_HEAD = """\
Two network namespaces, and between them a relay that delays packets and drops a share of them each way. A receiver
has {seconds} seconds; what came divided by the time since it was started, MB/s, so setting up counts. scp sends with
cubic, as Linux does by default, and in the last column with BBR, as on a machine where that is the default; the lane
asks for BBR itself."""


class PeerResults(Struct, frozen=True, kw_only=True):
    """What was measured of peers, before anything is judged."""

    machine: dict[str, str]
    moved: Moved
    links: Links
    whole_import: float
    """Seconds of a whole `cluster import --p2p` of a disk of one small record."""
    has_bbr: bool


def of_peers(found: PeerResults) -> list[Bar]:
    """Every bar of this part."""
    return [*_discarded(found.moved), *_to_disk(found.moved), *_lossy(found), *_memory(found.moved), *_first(found)]


def _discarded(moved: Moved) -> Iterator[Bar]:
    found = moved.discarded
    yield _times(found, peers.IROH, "Iroh alone, discarded", peers.BLOBS, 1.7)
    scp = min((peers.SCP, peers.SCP_GCM), key=lambda name: found[name].wall)
    yield _times(found, peers.LANE, "lane, discarded", scp, 1.5)


def _to_disk(moved: Moved) -> Iterator[Bar]:
    found = moved.to_disk
    scp = min((peers.SCP, peers.SCP_GCM), key=lambda name: found[name].wall)
    for verb, lane, iroh in (("import", peers.LANE, peers.IROH), ("fetch", peers.FETCH_LANE, peers.FETCH_IROH)):
        yield _times(found, iroh, f"{verb} over Iroh alone", peers.BLOBS, 2.0)
        yield _times(found, lane, f"{verb} over the lane", scp, 1.0)


def _times(found: dict[str, Ends], ours: str, what: str, peer: str, bar: float) -> Bar:
    times = found[peer].wall / found[ours].wall
    return Bar(source=ISSUE, rule=f"{what}, times as fast as {peer}", measured=times, bar=bar, at_least=True)


def _lossy(found: PeerResults) -> Iterator[Bar]:
    for link in found.links.links:
        if (link.round_trip_ms, link.loss) == _LOSSY and found.has_bbr:
            lane = link.rates[links.LANE]
            for name, bar in ((links.SCP, 8.0), (links.IROH, 4.0)):
                rule = f"lane at 20 ms and 0.1 % loss, times as fast as {name}"
                times = lane / link.rates[name]
                yield Bar(source=f"{ISSUE}, {PEER}", rule=rule, measured=times, bar=bar, at_least=True)


def _memory(moved: Moved) -> Iterator[Bar]:
    ours = [
        ends
        for found in (moved.to_disk, moved.discarded)
        for name, ends in found.items()
        if name in (peers.LANE, peers.LANE_GZIP, peers.IROH, peers.FETCH_LANE, peers.FETCH_IROH)
    ]
    for side, most in (
        ("sender", max(ends.sender_memory for ends in ours)),
        ("receiver", max(ends.receiver_memory for ends in ours)),
    ):
        yield Bar(
            source=ISSUE, rule=f"peak memory of our {side}, all ways", measured=most / MIB, bar=MEMORY_MIB, unit=" MiB"
        )


def _first(found: PeerResults) -> Iterator[Bar]:
    if found.links.first_byte is not None:
        rule = "first record after the receiver was started, other namespace"
        yield Bar(source=ISSUE, rule=rule, measured=found.links.first_byte, bar=1.0, unit=" s")
    rule = "a whole import of one small record, same machine"
    yield Bar(source=ISSUE, rule=rule, measured=found.whole_import, bar=1.0, unit=" s")


def peers_page(found: PeerResults, judged: list[Bar], seconds: float) -> str:
    """All about peers."""
    return "\n".join([*_page(found, judged, seconds), ""])


def _page(found: PeerResults, judged: list[Bar], seconds: float) -> Iterator[str]:
    moved = found.moved
    yield _HEAD
    yield from machine_section(found.machine, moved.loads)
    yield f"\n## To disk: {moved.size / 1e6:,.0f} MB\n"
    yield from _ends(moved.to_disk, moved.size)
    yield "\n## Discarded\n"
    yield from _ends(moved.discarded, moved.size)
    yield "\n## Across a link with delay and loss\n"
    if found.links.problem is None:
        yield _LINKS_HEAD.format(seconds=f"{seconds:g}") + "\n"
        yield from _link_rows(found.links)
    else:
        yield f"Not measured: {found.links.problem}."
    yield "\n## The bars\n"
    if not found.has_bbr:
        yield "This kernel has no BBR, so the bars of the link with loss say nothing here.\n"
    yield from bars_table(judged)


def _ends(found: dict[str, Ends], size: int) -> Iterable[str]:
    names = ["", "MB/s", "sender CPU s/GB", "MiB RAM", "receiver CPU s/GB", "MiB RAM"]
    return table(
        names,
        (
            [
                name,
                f"{size / ends.wall / 1e6:.0f}",
                f"{ends.sender_cpu / size * 1e9:.1f}",
                f"{ends.sender_memory / MIB:.0f}",
                f"{ends.receiver_cpu / size * 1e9:.1f}",
                f"{ends.receiver_memory / MIB:.0f}",
            ]
            for name, ends in sorted(found.items(), key=lambda item: item[1].wall)
        ),
    )


def _link_rows(rows: Links) -> Iterable[str]:
    names = [links.LANE, links.IROH, links.SCP, links.SCP_BBR]
    return table(
        ["round trip, loss", *names],
        (
            [
                f"{link.round_trip_ms} ms, {100 * link.loss:g} %",
                *(f"{link.rates[name] / 1e6:.1f}" if name in link.rates else "-" for name in names),
            ]
            for link in rows.links
        ),
    )
