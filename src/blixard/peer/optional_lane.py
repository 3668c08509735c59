"""Make and begin a session's lane, so that whatever goes wrong costs the lane and not the session.

A lane is a gain, never a need: a process that is out of file descriptors, say, serves and fetches on without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import UNSET, UnsetType

from blixard.model.structs import JsonObject
from blixard.peer.ports import Lane, LaneMaker, Link

_LOG = logging.getLogger(__name__)


def offered_lane(lanes: LaneMaker | None, link: Link) -> tuple[Lane | None, JsonObject | UnsetType]:
    """A lane for the session on `link`, and what to tell the peer of it; neither when it cannot be had."""
    lane: Lane | None = None
    try:
        lane = lanes(link) if lanes is not None else None
        return lane, UNSET if lane is None else lane.offer()
    except Exception as problem:  # noqa: BLE001 - whatever it is, there is no lane
        _give_up(lane, problem)
        return None, UNSET


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
