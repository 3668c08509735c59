"""Make and begin a session's lane, so that whatever goes wrong costs the lane and not the session.

A lane is a gain, never a need: a process that is out of file descriptors, say, serves and fetches on without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import Struct

from blixard.model.structs import JsonObject
from blixard.peer.ports import Lane, LaneMaker, Link

_LOG = logging.getLogger(__name__)


class OfferedLane(Struct, frozen=True):
    """A lane that was made, and what the peer is to be told of it."""

    lane: Lane
    offer: JsonObject


def offered_lane(lanes: LaneMaker | None, link: Link) -> OfferedLane | None:
    """A lane for the session on `link`; None when there is to be none, or it cannot be had."""
    lane: Lane | None = None
    try:
        lane = lanes(link) if lanes is not None else None
        return None if lane is None else OfferedLane(lane, lane.offer())
    except Exception as problem:  # noqa: BLE001 - whatever it is, there is no lane
        _give_up(lane, problem)
        return None


def begin_lane(lane: Lane, theirs: JsonObject, stands: Callable[[Link], None]) -> None:
    """`Lane.begin`; when it fails, whatever the reason, the lane is closed and the session goes on without it."""
    try:
        lane.begin(theirs, stands)
    except Exception as problem:  # noqa: BLE001 - as above
        _give_up(lane, problem)


def _give_up(lane: Lane | None, problem: Exception) -> None:
    _LOG.info("there is no direct lane: %s", problem)
    if lane is not None:
        lane.close()
