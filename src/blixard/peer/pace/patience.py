"""How long we wait for a peer that answers, but too slowly.

A limit on each wait does not help against a peer that sends one small frame just before it every time. So waiting is
paid for from an account that what arrives fills up again: whoever stays under `SLOWEST` runs it dry.
"""

from __future__ import annotations

from blixard.errors import PeerUnreachable
from blixard.peer.ports import SLOWEST

GRACE_SECONDS = 60.0
"""What the account holds at most: the longest time without anything."""
REPLY_SECONDS = 30.0
"""The longest wait for one frame to begin."""


class TooSlow(PeerUnreachable):
    """The peer stays under the slowest rate that we wait for."""


class Patience:
    """The account of waiting time of one channel."""

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._left = grace

    def waited(self, seconds: float, received: int) -> None:
        """Take the seconds waited from the account, and fill it up for the bytes that came.

        Raises:
            TooSlow: the account is empty.
        """
        self._left = min(self._grace, self._left - seconds + received / SLOWEST)
        if self._left < 0:
            raise TooSlow(
                "the peer sends too slowly", hint="fewer receivers at once, and `--connections 1`, leave each more"
            )
