"""A receiver that checks every record and throws it away: what the way brings, without a disk.

    discard.py DATA_DIR LANE BEGAN SECONDS        the ticket is in BLIXARD_TICKET

BEGAN is the time when this process was started, seconds since 1970. It stops after SECONDS of it, or when it has all,
and says as a line of JSON how many bytes of disk came in how many seconds, and when the first record was there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from gc import set_threshold
from pathlib import Path

from blake3 import blake3

from blixard.disks.records.frames import open_frame
from blixard.format.events import RecordRead
from blixard.home import Home
from blixard.limits import DEFAULT
from blixard.model.structs import Record
from blixard.ops.peers.source import FrameFromPeer, PeerSource, peer_source
from blixard.peer.fetch.options import FetchOptions
from blixard.peer.wire.ticket import parse_ticket
from blixard.site.config import LaneChoice
from blixard.site.network import NetworkSettings

AHEAD_BYTES = 48 << 20


def main() -> None:
    set_threshold(100_000, 20, 50)  # as the program itself does (cli/__init__.py)
    data_dir, lane, began, seconds = sys.argv[1:]
    home = Home(Path(data_dir))
    tickets = [parse_ticket(os.environ["BLIXARD_TICKET"])]
    network = NetworkSettings(lane=LaneChoice(lane))
    first, got, until = None, 0, float(began) + float(seconds)
    with peer_source(home, tickets, network, options=FetchOptions(), limits=DEFAULT, verb="bench") as source:
        for record, load in asked(source):
            if blake3(open_frame(load(), record.length)).digest() != record.digest:
                sys.exit("a record is not what its digest says")
            now = time.time()
            first = first or now
            got += record.length
            if now > until:
                source.wanted = False  # not all of it: its use stays open
                break
        by_kind = source.remote.statistics().by_kind
    took = time.time() - float(began)
    print(json.dumps({"bytes": got, "seconds": took, "first": (first or 0) - float(began), "by_kind": by_kind}))


def asked(source: PeerSource) -> Iterator[tuple[Record, FrameFromPeer]]:
    """Every record that carries data, asked for some way ahead."""
    ahead: deque[tuple[Record, FrameFromPeer]] = deque()
    size = 0
    for event in source.events():
        if not isinstance(event, RecordRead) or not event.record.carries:
            continue
        record = event.record
        ahead.append((record, FrameFromPeer(source.remote, record.digest, record.length, asked=True)))
        size += record.length
        if size >= AHEAD_BYTES:
            size -= ahead[0][0].length
            yield ahead.popleft()
    yield from ahead


if __name__ == "__main__":
    main()
