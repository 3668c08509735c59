from __future__ import annotations

import math

from blixard.limits import MIB
from blixard.peer.pace.growth import Growth, Step

NOTHING, MORE, ONE_LESS = Step.NOTHING, Step.MORE, Step.ONE_LESS


class Scene:
    """Something that grows, on a clock of its own."""

    def __init__(
        self, more: int = 3, *, pieces: int = 1, settle: float = 0.0, enough: float = math.inf, rest: float = math.inf
    ) -> None:
        self.now = 0.0
        self.growth = Growth(more=more, clock=lambda: self.now, pieces=pieces, settle=settle, enough=enough, rest=rest)

    def after(self, seconds: float, size: int) -> Step:
        self.now += seconds
        return self.growth.came(size)

    def trial(self, rate: int) -> Step:
        """Two seconds at that rate; what is to be added then works at once."""
        step = self.after(2, 2 * rate)
        if step is MORE:
            self.growth.stands()
        return step


def test_one_is_added_while_each_brings_a_tenth_more() -> None:
    scene = Scene()

    assert [scene.trial(rate) for rate in (100, 111, 123, 136)] == [MORE, MORE, MORE, NOTHING]


def test_what_brings_less_than_a_tenth_more_is_given_back_and_nothing_tried_any_more() -> None:
    scene = Scene()

    assert [scene.trial(rate) for rate in (100, 150, 160, 900, 9000)] == [MORE, MORE, ONE_LESS, NOTHING, NOTHING]
    assert scene.growth.over


def test_after_a_long_rest_it_is_tried_again_against_what_comes_then() -> None:
    scene = Scene(rest=300)
    assert [scene.trial(rate) for rate in (100, 100, 100)] == [MORE, ONE_LESS, NOTHING]
    scene.now = 605
    assert scene.growth.came(1) is NOTHING

    assert [scene.trial(rate) for rate in (10, 20)] == [MORE, MORE]


def test_each_rest_is_four_times_as_long_as_the_last_and_the_first_goes_by_the_measurement() -> None:
    scene = Scene(rest=10)
    tried: list[float] = []
    while scene.now < 2000:
        if scene.trial(100) is ONE_LESS:
            tried.append(scene.now)

    assert tried == [4, 28, 112, 436, 1720]


def test_nothing_is_added_where_it_is_fast_enough_until_it_is_not() -> None:
    scene = Scene(enough=1000)

    assert [scene.trial(rate) for rate in (1000, 2000, 999)] == [NOTHING, NOTHING, MORE]


def test_what_makes_it_fast_enough_is_the_last() -> None:
    scene = Scene(enough=1000)

    assert [scene.trial(rate) for rate in (800, 1200)] == [MORE, NOTHING]
    assert not scene.growth.on_trial


def test_no_more_are_added_than_said() -> None:
    scene = Scene(more=1)

    assert [scene.trial(rate) for rate in (100, 200, 400)] == [MORE, NOTHING, NOTHING]
    assert scene.growth.over
    assert Scene(more=0).trial(100) is NOTHING


def test_a_measurement_takes_its_time() -> None:
    scene = Scene()
    scene.growth.seconds = 4

    assert [scene.trial(100) for _ in range(3)] == [NOTHING, MORE, NOTHING]


def test_a_measurement_has_so_many_pieces_however_long_they_take() -> None:
    scene = Scene(pieces=4)

    assert [scene.after(30, MIB) for _ in range(4)] == [NOTHING, NOTHING, NOTHING, MORE]


def test_while_one_is_still_to_come_nothing_is_measured() -> None:
    scene = Scene()
    assert scene.after(2, 200) is MORE
    assert [scene.after(2, 200) for _ in range(9)] == [NOTHING] * 9
    scene.growth.stands()

    assert scene.after(2, 400) is MORE


def test_what_comes_up_to_speed_is_not_measured_and_then_from_the_end_of_a_piece() -> None:
    scene = Scene(settle=0.5)
    assert [scene.after(*each) for each in [(0.5, 1), (0.3, 1), (1.4, 150)]] == [NOTHING] * 3
    assert scene.after(0.1, 0) is MORE
    scene.growth.stands()
    assert [scene.after(*each) for each in [(0.7, 1), (0.1, 1)]] == [NOTHING] * 2

    assert scene.after(1.6, 200) is MORE


def test_a_pause_is_not_measured() -> None:
    scene = Scene(enough=100)
    assert scene.after(1, 150) is NOTHING
    scene.now = 60
    scene.growth.void()

    assert scene.trial(150) is NOTHING


def test_a_pause_does_not_shorten_the_rest() -> None:
    scene = Scene(rest=300)
    assert [scene.trial(100), scene.trial(100)] == [MORE, ONE_LESS]
    scene.growth.void()

    assert [scene.trial(100) for _ in range(9)] == [NOTHING] * 9


def test_what_cannot_be_had_is_the_last_that_was_tried() -> None:
    scene = Scene(rest=300)
    assert scene.after(2, 200) is MORE
    scene.growth.failed()

    assert scene.growth.over
    assert [scene.after(1000, 10) for _ in range(9)] == [NOTHING] * 9


def test_what_was_lost_on_trial_is_tried_again_later() -> None:
    scene = Scene(more=1, rest=400)
    assert scene.trial(100) is MORE
    scene.growth.failed()
    assert not scene.growth.on_trial
    assert scene.trial(100) is NOTHING
    scene.now = 605
    assert scene.growth.came(1) is NOTHING

    assert scene.trial(100) is MORE


def test_what_cannot_be_judged_any_more_stays() -> None:
    scene = Scene(more=1, rest=300)
    assert scene.trial(100) is MORE
    scene.growth.undecided()

    assert scene.growth.over
    assert scene.trial(1) is NOTHING
