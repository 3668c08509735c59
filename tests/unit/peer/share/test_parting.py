"""What a receiver may still do when a share is over, by the numbers."""

from __future__ import annotations

from msgspec.structs import replace

from blixard.limits import GIB, MIB
from blixard.peer.ports import SLOWEST, body_seconds
from blixard.peer.share.parting import IDLE, TOO_MUCH, TOO_SLOW, Parting
from blixard.peer.share.receivers import Receiver
from support.peers import CLIENT, NOW, OTHER

FRAME = MIB


class Measured:
    """A share of one GiB that is over, and one receiver that has had `before` of it."""

    def __init__(self, before: int = 123) -> None:
        self.seconds = 5.0
        self.receiver = Receiver(
            id=CLIENT, address="", first_at=NOW, last_at=NOW, visit_at=NOW, sent_bytes=before, sessions=1
        )
        self.parting = Parting(GIB, 16 * MIB, 30.0, lambda: self.seconds)
        assert self.look() is None

    def look(self, *, sent: int = 0, seconds: float = 0, idle: float = 0.0, frame: int = FRAME) -> str | None:
        """What is said of it when so much more has happened."""
        self.seconds += seconds
        self.receiver = replace(self.receiver, sent_bytes=self.receiver.sent_bytes + sent)
        return self.parting.overdue(self.receiver, idle, frame)


def test_all_there_is_may_be_sent_twice_whatever_went_before() -> None:
    one = Measured(before=50 * GIB)

    assert one.look(sent=GIB) is None
    assert one.look(sent=GIB + 16 * MIB) is None
    assert one.look(sent=1) == TOO_MUCH


def test_a_receiver_as_slow_as_may_be_finishes() -> None:
    one = Measured()

    for _ in range(GIB // FRAME):
        assert one.look(seconds=FRAME / SLOWEST - 0.25) is None  # the frame is not all there
        assert one.look(seconds=0.25, sent=FRAME) is None


def test_the_largest_record_has_the_time_it_takes() -> None:
    one = Measured()

    assert one.look(frame=16 * MIB) is None
    assert one.look(frame=16 * MIB, sent=16 * MIB, seconds=16 * MIB / SLOWEST) is None
    assert one.look(frame=16 * MIB, seconds=16 * MIB / SLOWEST + 29) is None


def test_a_receiver_that_drips_is_told_to_leave() -> None:
    one = Measured()

    assert any(one.look(seconds=10, sent=SLOWEST) == TOO_SLOW for _ in range(60))


def test_what_came_fast_is_no_credit_for_hours_of_nothing() -> None:
    one = Measured()

    assert one.look(seconds=1, sent=GIB) is None
    assert one.look(seconds=31 + body_seconds(FRAME)) == TOO_SLOW


def test_one_that_writes_what_it_has_got_may_be_silent_for_a_while() -> None:
    one = Measured()

    assert one.look(idle=29.9) is None
    assert one.look(idle=30) == IDLE


def test_one_that_never_got_anything_has_nothing_to_write() -> None:
    nobody = Measured(before=0)

    assert nobody.look() is None
    assert nobody.look(idle=0.1) == IDLE


def test_who_was_told_to_leave_stays_told() -> None:
    one = Measured()
    assert one.look(idle=30) == IDLE

    assert one.look(sent=MIB, seconds=0.25) == IDLE


def test_each_receiver_has_an_account_of_its_own() -> None:
    one = Measured()
    assert one.look(sent=3 * GIB) == TOO_MUCH

    assert one.parting.overdue(replace(one.receiver, id=OTHER), 0.0, FRAME) is None
