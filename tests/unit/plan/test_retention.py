from datetime import timedelta

from blixard.plan.retention import UndoPolicy, expired
from blixard.ports import UndoSummary
from support.clusters import NOW


def entry(number: int, *, days: int = 0, held: int = 0, pinned: bool = False) -> UndoSummary:
    return UndoSummary(
        id=number,
        made_at=NOW - timedelta(days=days),
        verb="import",
        title="",
        pinned=pinned,
        held_bytes=held,
    )


def test_the_newest_are_kept() -> None:
    assert expired([entry(5), entry(4), entry(3), entry(2)], UndoPolicy(keep=3), NOW) == (2,)


def test_the_old_go_even_when_they_are_few() -> None:
    assert expired([entry(2), entry(1, days=31)], UndoPolicy(max_age=timedelta(days=30)), NOW) == (1,)


def test_bytes_bound_what_is_kept_and_a_smaller_older_one_may_stay() -> None:
    entries = [entry(3, held=60), entry(2, held=60), entry(1, held=30)]

    assert expired(entries, UndoPolicy(max_bytes=100), NOW) == (2,)


def test_pinned_entries_stay_and_do_not_count() -> None:
    entries = [entry(4, pinned=True, days=400, held=10**12), entry(3), entry(2), entry(1)]

    assert expired(entries, UndoPolicy(keep=2, max_bytes=100), NOW) == (1,)


def test_keep_nothing_is_possible() -> None:
    assert expired([entry(1)], UndoPolicy(keep=0), NOW) == (1,)
