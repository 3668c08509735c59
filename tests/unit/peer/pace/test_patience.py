from __future__ import annotations

import pytest

from blixard.errors import ExitCode
from blixard.peer.pace.deadline import Deadline
from blixard.peer.pace.meter import TransferMeter
from blixard.peer.pace.patience import GRACE_SECONDS, Patience, TooSlow
from blixard.peer.ports import SLOWEST, body_seconds


def test_a_peer_at_the_slowest_rate_is_waited_for_without_end() -> None:
    patience = Patience()

    for _ in range(10_000):
        patience.waited(10, 10 * SLOWEST)


def test_a_peer_that_sends_a_crumb_just_in_time_is_given_up() -> None:
    patience = Patience()
    for _ in range(3):
        patience.waited(GRACE_SECONDS / 3, 1)

    with pytest.raises(TooSlow) as caught:
        patience.waited(GRACE_SECONDS / 3, 1)
    assert caught.value.exit_code is ExitCode.PEER_UNREACHABLE


def test_what_came_fast_buys_no_more_than_the_grace() -> None:
    patience = Patience(grace=5)
    patience.waited(0, 1000 * SLOWEST)

    with pytest.raises(TooSlow):
        patience.waited(5.1, 0)


def test_a_body_has_time_by_its_length() -> None:
    assert body_seconds(16 * SLOWEST) == 16


def test_a_deadline_passes_once_for_all_steps() -> None:
    assert Deadline(None).left() is None
    assert not Deadline(None).passed()
    assert Deadline(0).passed()
    assert Deadline(0).left() == 0
    later = Deadline(0)
    later.extend(60)
    assert 59 < (later.left() or 0) <= 60
    forever = Deadline(None)
    forever.extend(1)
    assert forever.left() is None


def test_the_rate_is_that_of_the_last_seconds() -> None:
    now = [0.0]
    meter = TransferMeter(lambda: now[0])
    assert meter.read().rate == 0

    for second in range(20):
        now[0] = float(second)
        meter.add("iroh", 100 if second < 10 else 1000)
    meter.add("tcp", 500)

    read = meter.read()
    assert read.by_kind == {"iroh": 11_000, "tcp": 500}
    assert read.received_bytes == 11_500
    assert 1000 <= read.rate <= 1400
    now[0] = 100.0
    assert meter.read().rate == 0
