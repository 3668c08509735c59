"""Who has to leave once a share is over.

Nobody new comes then, and a transfer under way may finish; but only the receiver knows whether it has finished, and
one that never says so would hold the share open for ever. So each is measured by what is sent to it from then on:

- It may be sent all there is twice (`ServedDocument.share_bytes`), and as much more as one receiver may have under way
  (`receiver_bytes_in_flight`): everything once is what an honest one can want, the rest is for what got lost.
- It may be slow, but not slower than the rate under which a fetch gives up its sender (`SLOWEST`). Time is paid for
  from an account, as in `patience.py`: `parting_idle_seconds` and the time for one frame; what arrives fills it up.
- It may be without a request for `parting_idle_seconds`, while it writes what it has got; one that never got a byte
  has nothing to write and goes at once.

Who breaks one of these is told to leave, and does not come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

from blixard.peer.ports import SLOWEST, body_seconds
from blixard.peer.share.receivers import Receiver

IDLE = "the share is over"
TOO_MUCH = "the share is over, and it asked for everything more than twice since"
TOO_SLOW = "the share is over, and it takes hardly anything"


class _Account(Struct):
    """The bytes and the seconds that one receiver has left."""

    sent: int
    """Of its `sent_bytes`, as of the last look."""
    bytes_left: int
    seconds_most: float
    """What the account of time holds when it is full."""
    seconds_left: float
    looked_at: float
    told: str | None = None
    """Why it has to leave."""


class Parting:
    """Judges receivers from the end of a share on. From one thread.

    Args:
        all_bytes: about what goes to whoever takes all of it once.
        slack_bytes: what a receiver may be sent beyond all of it twice.
        idle_seconds: how long it may be without a request, or without a byte.
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(
        self, all_bytes: int, slack_bytes: int, idle_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bytes = 2 * all_bytes + slack_bytes
        self._idle_seconds = idle_seconds
        self._monotonic = monotonic
        self._accounts: dict[str, _Account] = {}

    def overdue(self, receiver: Receiver, idle_seconds: float, largest_frame: int) -> str | None:
        """Why it has to leave; None as long as it may go on. To be asked a few times a second, of each that is here.

        Args:
            receiver: as it is now.
            idle_seconds: how long none of its sessions has asked for anything.
            largest_frame: bytes of the largest frame so far; it counts as sent only when all of it is.
        """
        now, most = self._monotonic(), self._idle_seconds + body_seconds(largest_frame)
        account = self._accounts.get(receiver.id)
        if account is None:
            account = self._accounts[receiver.id] = _Account(receiver.sent_bytes, self._bytes, most, most, now)
        _settle(account, receiver.sent_bytes, now, most)
        patience = self._idle_seconds if receiver.sent_bytes else 0.0
        if account.told is None:
            account.told = _verdict(account, idle=0 < idle_seconds >= patience)
        return account.told


def _settle(account: _Account, sent: int, now: float, most: float) -> None:
    more, seconds = sent - account.sent, now - account.looked_at
    account.sent, account.looked_at = sent, now
    account.bytes_left -= more
    account.seconds_left += (most - account.seconds_most) - seconds + more / SLOWEST
    account.seconds_most, account.seconds_left = most, min(most, account.seconds_left)


def _verdict(account: _Account, *, idle: bool) -> str | None:
    if account.bytes_left < 0:
        return TOO_MUCH
    if account.seconds_left < 0:
        return TOO_SLOW
    return IDLE if idle else None
