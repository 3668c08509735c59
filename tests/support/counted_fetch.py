"""A process that fetches over Iroh alone as the command does by default, until it has more than one link.

    counted_fetch.py DATA_DIR        the ticket is in BLIXARD_TICKET

Says as a line of JSON how many links it had at most; it ends without having all when that is more than one.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from blixard.format.events import RecordRead
from blixard.home import Home
from blixard.limits import DEFAULT
from blixard.ops.peers.source import FrameFromPeer, peer_source
from blixard.peer.fetch.options import FetchOptions
from blixard.peer.wire.ticket import parse_ticket
from blixard.site.config import LaneChoice
from blixard.site.network import NetworkSettings


def main() -> None:
    tickets = [parse_ticket(os.environ["BLIXARD_TICKET"])]
    network = NetworkSettings(lane=LaneChoice.IROH)
    links = 0
    home = Home(Path(sys.argv[1]))
    with peer_source(home, tickets, network, options=FetchOptions(), limits=DEFAULT, verb="test") as source:
        records = [event.record for event in source.events() if isinstance(event, RecordRead)]
        asked = [FrameFromPeer(source.remote, each.digest, each.length, asked=True) for each in records if each.carries]
        for load in asked:
            load()
            links = max(links, source.remote.statistics().links)
            if links > 1:
                source.wanted = False
                break
    sys.stdout.write(json.dumps({"links": links}) + "\n")


if __name__ == "__main__":
    main()
