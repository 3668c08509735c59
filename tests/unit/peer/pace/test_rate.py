import threading

import pytest

from blixard.errors import UsageError
from blixard.peer.pace.rate import UNLIMITED, RateLimit


class JumpingClock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


def send(limit: RateLimit, amount: int) -> None:
    while amount:
        amount -= limit.grant(amount)


@pytest.mark.parametrize("rate", [1000, 100_000, 7_654_321, 2e9])
def test_bytes_take_as_long_as_the_rate_says(clock: JumpingClock, rate: float) -> None:
    limit = RateLimit(rate, clock=clock, wait=clock.wait)

    send(limit, int(rate * 20))

    # the last portion has been granted, but its time has not passed
    last = max(0.05, 4096 / rate)
    assert 20 - last - 1e-6 <= clock.now - 100 <= 20


def test_bytes_leave_in_small_portions_even_when_a_lot_is_wanted(clock: JumpingClock) -> None:
    limit = RateLimit(1_000_000, clock=clock, wait=clock.wait)

    assert limit.grant(1 << 20) == 50_000
    assert RateLimit(10, clock=clock, wait=clock.wait).grant(1 << 20) == 4096
    assert RateLimit(1e12, clock=clock, wait=clock.wait).grant(1 << 30) == 256 * 1024


def test_less_than_a_portion_is_granted_whole(clock: JumpingClock) -> None:
    assert RateLimit(1_000_000, clock=clock, wait=clock.wait).grant(7) == 7


def test_idle_time_does_not_add_up_to_a_burst(clock: JumpingClock) -> None:
    limit = RateLimit(1_000_000, clock=clock, wait=clock.wait)
    clock.now += 3600

    send(limit, 2_000_000)

    assert clock.now - 3700 > 1.8


def test_two_lanes_share_one_rate(clock: JumpingClock) -> None:
    limit = RateLimit(1_000_000, clock=clock, wait=clock.wait)

    for _ in range(10):
        send(limit, 500_000)
        send(limit, 500_000)

    assert clock.now - 100 == pytest.approx(10, abs=0.2)


def test_threads_get_no_more_than_the_rate_together() -> None:
    held = threading.Lock()
    granted: list[float] = []
    limit = RateLimit(1e6, clock=lambda: 0.0, wait=lambda seconds: _note(held, granted, seconds))

    threads = [threading.Thread(target=send, args=(limit, 500_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # time stands still: the last portion must wait for all the others to have gone
    assert max(granted) == pytest.approx(2.0 - 0.05, abs=0.001)
    assert len(set(granted)) == len(granted)


def _note(held: threading.Lock, granted: list[float], seconds: float) -> None:
    with held:
        granted.append(round(seconds, 6))


def test_without_a_limit_all_is_granted_at_once() -> None:
    assert UNLIMITED.grant(1 << 40) == 1 << 40
    assert not UNLIMITED.limited
    assert RateLimit(1.0).limited


@pytest.mark.parametrize("amount", [0, -5])
def test_nothing_wanted_is_nothing_granted(clock: JumpingClock, amount: int) -> None:
    assert RateLimit(1.0, clock=clock, wait=clock.wait).grant(amount) == 0
    assert not clock.waits


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_moves_nothing_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="moves nothing"):
        RateLimit(rate)
