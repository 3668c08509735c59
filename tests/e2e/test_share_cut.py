"""Transfers cut anywhere, by either side or between them: nothing has changed, and only what is missing comes again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import sites
from support.cuts import MIB, TIMEOUT, Cut, Met, Original, an_original, cut_and_try_again
from support.world import picture

pytestmark = [pytest.mark.root, pytest.mark.skipif(sites.missing() is not None, reason=str(sites.missing()))]

AT_ONCE = 3
"""Most of the time is spent waiting for a dead peer."""
LOST_SECONDS = 10
SLACK_SECONDS = 10
CHECKPOINT = 8 * MIB
UNDER_WAY = 16 * MIB
"""What may have come over the cable and not be staged: in sockets, in the table of records, with the workers."""
UNREACHABLE = 42
KILLED = -9


@pytest.fixture(scope="module")
def small() -> Iterator[Original]:
    with an_original(40 * MIB) as original:
        yield original


@pytest.fixture(scope="module")
def large() -> Iterator[Original]:
    with an_original(300_000_000) as original:
        yield original


def check(original: Original, cut: Cut, places: list[int]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        met = dict(zip(places, threads.map(lambda place: cut_and_try_again(original, cut, place), places), strict=True))
    disks = picture(original.world)["web"].disks
    for place, each in met.items():
        about = (place, each)
        assert each.cut == each.before, about
        assert each.code == (KILLED if cut is Cut.RECEIVER else UNREACHABLE), about
        assert each.seconds < LOST_SECONDS + TIMEOUT + SLACK_SECONDS, about
        assert each.held >= each.wire_at_cut * 0.95 - CHECKPOINT - UNDER_WAY, about
        check_second_try(each, about)
        assert each.after["web"].disks == disks, about


def check_second_try(met: Met, about: object) -> None:
    """It brought all that was missing, and nothing else."""
    assert met.again.code == 0, about
    assert json.loads(met.again.out)["resumed"] is (met.held > 0), about
    assert met.missing < met.wire_again < met.missing * 1.05 + MIB, about


@pytest.mark.parametrize("cut", Cut)
def test_a_transfer_that_is_cut_goes_on_where_it_stopped(small: Original, cut: Cut) -> None:
    check(small, cut, [10, 50, 90])


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 100, 10))
@pytest.mark.parametrize("cut", Cut)
def test_a_transfer_of_300_mb_may_be_cut_anywhere(large: Original, cut: Cut, first: int) -> None:
    check(large, cut, list(range(first, first + 10, 2)))
