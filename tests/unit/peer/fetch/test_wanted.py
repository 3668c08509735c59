from __future__ import annotations

import pytest

from blixard.errors import InternalError, PeerMisbehaved, PeerRefused, PeerUnreachable, TransferError
from blixard.peer.fetch.wanted import Item, Wanted, again
from support.link_conformance import Started
from support.peers import FakeSender

A, B, C, D = (bytes([n]) * 32 for n in range(4))
GIVER, OTHER = FakeSender(), FakeSender()


class FakeRequester:
    def __init__(self, *, may_ask: bool = True) -> None:
        self.may_ask = may_ask
        self.ended = False


def make_wanted(*digests: bytes, length: int = 10, bound: int = 1000) -> Wanted:
    wanted = Wanted(bound)
    for digest in digests:
        wanted.request(digest, length)
    return wanted


def take(wanted: Wanted, count: int = 10, length: int = 1000, timeout: float | None = 0) -> list[Item] | None:
    return wanted.take(FakeRequester(), count=count, length=length, timeout=timeout)


def digests(items: list[Item] | None) -> list[bytes]:
    assert items is not None
    return [digest for digest, _ in items]


def test_records_are_asked_for_in_the_order_of_the_requests_and_once() -> None:
    wanted = make_wanted(A, B, C)

    assert digests(take(wanted, count=2)) == [A, B]
    assert digests(take(wanted)) == [C]
    assert take(wanted) == []


def test_a_batch_ends_when_it_is_long_enough() -> None:
    assert digests(take(make_wanted(A, B, C), length=20)) == [A, B]
    assert digests(take(make_wanted(A, B, C), length=11)) == [A, B]
    assert digests(take(make_wanted(A, B, C), length=1)) == [A]


def test_what_arrived_is_collected_once_for_each_request() -> None:
    wanted = make_wanted(A, A)
    take(wanted)
    wanted.arrived(A, b"frame", GIVER)

    assert wanted.wait(A) == b"frame"
    assert wanted.wait(A) == b"frame"
    with pytest.raises(InternalError):
        wanted.wait(A)


def test_waiting_ends_when_it_arrives() -> None:
    wanted = make_wanted(A)
    take(wanted)
    waiting = Started(lambda: wanted.wait(A))
    assert not waiting.is_done_within(0.05)
    wanted.arrived(A, b"frame", GIVER)

    assert waiting.result() == b"frame"


def test_waiting_ends_when_the_time_has_passed() -> None:
    with pytest.raises(TransferError, match="in time"):
        make_wanted(A).wait(A, 0.01)


def test_what_was_lost_is_asked_for_again_before_the_others() -> None:
    wanted = make_wanted(A, B, C, D)
    lost = take(wanted, count=2)
    assert lost is not None
    wanted.back(lost)

    assert digests(take(wanted)) == [A, B, C, D]


def test_what_arrived_meanwhile_is_not_asked_for_again() -> None:
    wanted = make_wanted(A, B)
    items = take(wanted)
    assert items is not None
    wanted.arrived(A, b"frame", GIVER)
    wanted.back(items)

    assert digests(take(wanted)) == [B]


def test_no_more_is_under_way_or_uncollected_than_the_bound() -> None:
    wanted = make_wanted(A, B, C, bound=25)
    assert digests(take(wanted)) == [A, B]
    wanted.arrived(A, b"frame", GIVER)
    assert take(wanted) == []

    wanted.wait(A)
    assert digests(take(wanted)) == [C]


def test_a_record_larger_than_the_bound_passes_alone() -> None:
    wanted = make_wanted(A, length=5000)

    assert digests(take(wanted)) == [A]


def test_what_somebody_waits_for_passes_the_bound_and_the_queue() -> None:
    wanted = make_wanted(A, B, C, D, bound=20)
    assert digests(take(wanted)) == [A, B]
    waiting = Started(lambda: wanted.wait(D))
    assert digests(take(wanted, timeout=5)) == [D]
    wanted.arrived(D, b"frame", GIVER)

    assert waiting.result() == b"frame"
    assert take(wanted) == []
    for digest in (A, B):
        wanted.arrived(digest, b"", GIVER)
        wanted.wait(digest)
    assert digests(take(wanted)) == [C]


def test_an_asker_waits_for_work() -> None:
    wanted = make_wanted()
    asking = Started(lambda: take(wanted, timeout=None))
    assert not asking.is_done_within(0.05)
    wanted.request(A, 1)

    assert digests(asking.result()) == [A]


def test_an_asker_that_may_not_work_waits_until_it_may_or_ends() -> None:
    wanted = make_wanted(A)
    requester = FakeRequester(may_ask=False)

    def ask() -> list[Item] | None:
        return wanted.take(requester, count=1, length=1, timeout=None)

    asking = Started(ask)
    assert not asking.is_done_within(0.05)
    requester.may_ask = True
    wanted.poke()
    assert digests(asking.result()) == [A]

    asking = Started(ask)
    assert not asking.is_done_within(0.05)
    requester.ended = True
    wanted.poke()
    assert asking.result() is None


def test_an_asker_that_may_not_work_sleeps_through_the_work_of_others() -> None:
    wanted = make_wanted()
    looked: list[bool] = []

    class Watched:
        @property
        def may_ask(self) -> bool:
            looked.append(True)
            return False

        @property
        def ended(self) -> bool:
            return len(looked) > 1

    def ask() -> list[Item] | None:
        return wanted.take(Watched(), count=1, length=1, timeout=None)

    asking = Started(ask)
    assert not asking.is_done_within(0.05)
    for digest in (A, B):
        wanted.request(digest, 1)
        take(wanted)
        wanted.arrived(digest, b"frame", GIVER)
        wanted.wait(digest)
    assert not asking.is_done_within(0.05)
    assert len(looked) == 1

    looked.append(True)
    wanted.poke()
    assert asking.result() is None


def test_each_of_several_who_wait_is_woken_by_its_own_record() -> None:
    wanted = make_wanted(A, B, B)
    take(wanted)
    first = Started(lambda: wanted.wait(A))
    others = [Started(lambda: wanted.wait(B)) for _ in range(2)]
    assert not first.is_done_within(0.05)
    wanted.arrived(B, b"b", GIVER)
    assert [each.result() for each in others] == [b"b", b"b"]
    assert not first.is_done_within(0.01)
    wanted.arrived(A, b"a", GIVER)

    assert first.result() == b"a"


def test_a_rejected_record_is_wanted_again_and_its_giver_named() -> None:
    wanted = make_wanted(A, B)
    take(wanted)
    wanted.arrived(A, b"wrong", GIVER)
    wanted.wait(A)

    assert wanted.reject(A) is GIVER
    assert digests(take(wanted)) == [A]
    wanted.arrived(A, b"right", OTHER)
    assert wanted.wait(A) == b"right"


def test_what_was_not_collected_cannot_be_rejected() -> None:
    with pytest.raises(InternalError):
        make_wanted(A).reject(A)


def test_nothing_that_a_giver_brought_is_kept_when_it_lied() -> None:
    wanted = make_wanted(A, B, C)
    take(wanted)
    wanted.arrived(A, b"from a liar", GIVER)
    wanted.arrived(B, b"from another", OTHER)
    wanted.forget_from(GIVER)

    assert digests(take(wanted)) == [A]
    assert wanted.wait(B) == b"from another"


def test_a_failure_wakes_everybody_and_stays_the_first() -> None:
    wanted = make_wanted(A)
    waiting = Started(lambda: wanted.wait(A))
    asking = Started(lambda: wanted.take(FakeRequester(may_ask=False), count=1, length=1, timeout=None))
    assert not waiting.is_done_within(0.05)
    wanted.fail(PeerUnreachable("gone"))
    wanted.fail(TransferError("later"))

    with pytest.raises(PeerUnreachable, match="gone"):
        waiting.result()
    assert asking.result() is None
    with pytest.raises(PeerUnreachable, match="gone"):
        wanted.request(B, 1)


@pytest.mark.parametrize(
    "problem", [PeerRefused("used", "message", hint="hint"), PeerMisbehaved("message"), TransferError("message")]
)
def test_an_error_for_another_thread_says_the_same(problem: TransferError) -> None:
    copy = again(problem)

    assert copy is not problem
    assert type(copy) is type(problem)
    assert (str(copy), vars(copy), copy.__cause__) == (str(problem), vars(problem), problem)
