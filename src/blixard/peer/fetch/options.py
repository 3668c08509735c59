"""What all parts of one fetch share: the endpoint, the table of records, the threads, the bounds.

Handed to each part whole, so that none of them needs to know the others.
"""

from __future__ import annotations

import threading

from msgspec import Struct

from blixard.limits import MIB
from blixard.peer.fetch.wanted import Wanted
from blixard.peer.pace.growth import TRIAL_SECONDS
from blixard.peer.pace.meter import TransferMeter
from blixard.peer.pace.patience import GRACE_SECONDS, REPLY_SECONDS
from blixard.peer.pace.threads import Threads
from blixard.peer.ports import Endpoint, LaneMaker
from blixard.peer.wire import protocol


class FetchOptions(Struct, frozen=True, kw_only=True):
    """How to fetch; sizes in bytes, times in seconds."""

    timeout: float = 60.0
    """How long a sender may bring nothing, connections that fail included, before it is given up."""
    connections: int = 1
    """Links to each sender from the start."""
    most_connections: int = 4
    """So many may they become, one by one, while each brings more: on a path with loss, four bring two to four times as
    much as one."""
    enough_rate: float = 32 * MIB
    """Bytes a second over Iroh from which a sender gets no more links. Without loss one brings 80 to 160 MiB a second
    where the processor is the limit, and half of that on a machine half as fast; with loss one brings 0.2 to 16."""
    trial_seconds: float = TRIAL_SECONDS
    """How long is measured at least what one more brings."""
    channels: int = 4
    """Request channels on each link."""
    lane_channels: int = 4
    """Most connections of a direct lane; they are made one by one, while each brings more."""
    hand_over_seconds: float = 0.5
    """How long what was asked for over Iroh may still come when a lane stands; then the lane is asked for it."""
    lane_worth_bytes: int = 64 * MIB
    """A lane that broke after it had brought so much is worth another session, which makes another lane."""
    lane_again_seconds: float = 5.0
    """How long after a lane broke the session's link goes on by itself, before that."""
    bytes_in_flight: int = 64 * MIB
    """Decoded bytes of records asked for and not collected yet."""
    connect_seconds: float = 10.0
    reply_seconds: float = REPLY_SECONDS
    """Longest wait for one frame to begin."""
    grace_seconds: float = GRACE_SECONDS
    """Longest wait for frames that come one by one, each just in time (`patience.py`)."""
    first_pause: float = 0.2
    longest_pause: float = 5.0
    """Pauses between attempts to connect; each is twice the last."""
    ping_seconds: float = protocol.PING_SECONDS
    lost_seconds: float = protocol.LOST_SECONDS


class Fetch(Struct, frozen=True):
    """One fetch, as its parts know it."""

    endpoint: Endpoint
    options: FetchOptions
    wanted: Wanted
    meter: TransferMeter
    threads: Threads
    stopped: threading.Event
    changed: threading.Condition
    """Notified when a sender begins or ceases to answer."""
    lanes: LaneMaker | None = None

    def tell(self) -> None:
        """Wake whoever waits for a sender to answer, and whoever waits for its turn to ask."""
        with self.changed:
            self.changed.notify_all()
        self.wanted.poke()
