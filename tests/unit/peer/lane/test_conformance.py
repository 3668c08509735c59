from __future__ import annotations

from collections.abc import Iterator

import pytest

from blixard.peer.lane.link import LaneLink
from blixard.peer.ports import Link
from support.lanes import FAR_ID, NEAR_ID, two_sides, without_dialling
from support.link_conformance import LinkConformance, LinkPair, no_thread_left


class LanePair:
    def __init__(self, near: LaneLink, far: LaneLink) -> None:
        self.near: Link = near
        self.far: Link = far
        self._lose = near.lose

    def cut(self) -> None:
        self._lose("the lane is lost")


class TestDialledLane(LinkConformance):
    """`near` has dialled `far`."""

    many = 8  # connections of one lane are bounded by 16

    @pytest.fixture
    def pair(self) -> Iterator[LinkPair]:
        with no_thread_left(), two_sides() as (near, far):
            theirs, ours = far.lane.offer(), near.lane.offer()
            far.begin(without_dialling(ours))
            near.begin(theirs)
            yield LanePair(near.link(), far.link())


class TestLaneDialledFromTheOtherEnd(LinkConformance):
    """`near`, which opens the channels, sits behind a peer that had to dial it."""

    many = 8

    @pytest.fixture
    def pair(self) -> Iterator[LinkPair]:
        with no_thread_left(), two_sides(FAR_ID, NEAR_ID) as (near, far):
            theirs, ours = far.lane.offer(), near.lane.offer()
            near.begin(without_dialling(theirs))
            far.begin(ours)
            yield LanePair(near.link(), far.link())
