from __future__ import annotations

from datetime import UTC, datetime, timedelta

from blixard.peer.share.admission import RECEIVERS, Admission, Terms
from blixard.peer.wire.protocol import Refusal
from blixard.peer.wire.secret import Secret

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE, TWO = "11" * 32, "22" * 32


def make_admission(now: datetime = NOW, **terms: object) -> Admission:
    return Admission(Terms(secret=Secret(bytes(16)), **terms), lambda: now)  # type: ignore[arg-type]


def test_who_has_the_secret_is_let_in_and_who_has_not_is_not() -> None:
    assert make_admission().judge(ONE, proven=True) is None
    assert make_admission().judge(ONE, proven=False) is Refusal.SECRET


def test_a_stranger_hears_of_the_secret_only_whatever_else_is_the_matter() -> None:
    admission = make_admission(expires_at=NOW, uses=0, allowed=frozenset())

    assert admission.judge(ONE, proven=False) is Refusal.SECRET


def test_only_those_on_the_list_come_when_there_is_one() -> None:
    admission = make_admission(allowed=frozenset({ONE}))

    assert admission.judge(ONE, proven=True) is None
    assert admission.judge(TWO, proven=True) is Refusal.NOT_ALLOWED


def test_a_ticket_is_good_until_the_second_it_expires() -> None:
    assert make_admission(expires_at=NOW + timedelta(seconds=1)).judge(ONE, proven=True) is None
    assert make_admission(expires_at=NOW).judge(ONE, proven=True) is Refusal.EXPIRED


def test_a_use_is_taken_by_the_first_byte_and_not_by_coming_in() -> None:
    admission = make_admission(uses=1)

    assert admission.judge(ONE, proven=True) is None
    assert admission.judge(TWO, proven=True) is None
    assert admission.bind(TWO)
    assert not admission.bind(ONE)
    assert admission.judge(ONE, proven=True) is Refusal.USED


def test_who_has_a_use_comes_again_as_often_as_it_likes() -> None:
    admission = make_admission(uses=1)
    admission.bind(ONE)
    admission.complete(ONE)

    assert admission.judge(ONE, proven=True) is None
    assert admission.bind(ONE)


def test_a_share_is_used_up_when_every_use_is_complete() -> None:
    admission = make_admission(uses=2)
    for receiver in (ONE, TWO):
        admission.bind(receiver)
    admission.complete(ONE)
    admission.complete(ONE)
    assert (admission.completed, admission.used_up) == (1, False)

    admission.complete(TWO)
    assert (admission.completed, admission.used_up) == (2, True)


def test_who_was_served_nothing_completes_nothing() -> None:
    admission = make_admission(uses=1)
    admission.complete(ONE)

    assert (admission.completed, admission.used_up) == (0, False)


def test_a_share_without_uses_is_never_used_up_and_remembers_a_bounded_number() -> None:
    admission = make_admission()
    for number in range(RECEIVERS):
        assert admission.bind(f"{number:064x}")

    assert not admission.used_up
    assert not admission.bind(ONE)
    assert admission.bind(f"{0:064x}")
