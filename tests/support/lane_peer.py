"""A process at one end of a lane; its parent carries the offers, as an Iroh connection would.

    lane_peer.py send|fetch OUR_ID THEIR_ID SEEN CONNECTIONS CONGESTION BYTES

It writes its offer as a line of JSON, reads the other's, and moves BYTES bytes from `send` to `fetch` over CONNECTIONS
channels. Then it writes a line: the digest of what it sent or got, seconds, and what congestion control was used.
"""

from __future__ import annotations

import hashlib
import json
import queue
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from blixard.peer.lane.channel import LaneChannel
from blixard.peer.lane.dial import Tuning
from blixard.peer.lane.lane import LaneHost
from blixard.peer.lane.link import LaneLink
from blixard.peer.ports import Link
from support.lanes import SessionLink

SECONDS = 120.0
PART = 1 << 20


def main() -> None:
    verb, ours, theirs, seen, connections, congestion, size = sys.argv[1:]
    host = LaneHost(tuning=Tuning(congestion=congestion.encode()))
    lane = host.lane(SessionLink(ours, theirs, (f"{seen}:4433",)))
    told: queue.Queue[Link] = queue.Queue()
    say(lane.offer())
    lane.begin(json.loads(sys.stdin.readline()), told.put)
    link = told.get(timeout=SECONDS)
    assert isinstance(link, LaneLink)
    channels = [link.accept(SECONDS) if verb == "send" else link.open(SECONDS) for _ in range(int(connections))]
    used = link.congestion
    began = time.monotonic()
    digests = in_threads(send if verb == "send" else fetch, channels, int(size) // len(channels))
    say({"digests": sorted(digests), "seconds": time.monotonic() - began, "congestion": used})
    sys.stdin.readline()
    host.close()


def send(channel: LaneChannel, size: int) -> str:
    asked = channel.receive(SECONDS)
    assert asked is not None
    randomness = random.Random(str(asked[0]["part"]))
    digest = hashlib.sha256()
    for at in range(0, size, PART):
        body = randomness.randbytes(min(PART, size - at))
        digest.update(body)
        channel.send({"at": at}, body)
    channel.finish()
    return digest.hexdigest()


def fetch(channel: LaneChannel, size: int) -> str:
    channel.send({"part": id(channel)})
    digest, got = hashlib.sha256(), 0
    while (frame := channel.receive(SECONDS)) is not None:
        assert frame[0]["at"] == got
        digest.update(frame[1])
        got += len(frame[1])
    assert got == size
    return digest.hexdigest()


def in_threads(take: Callable[[LaneChannel, int], str], channels: list[LaneChannel], size: int) -> list[str]:
    with ThreadPoolExecutor(len(channels)) as threads:
        return list(threads.map(take, channels, [size] * len(channels)))


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
