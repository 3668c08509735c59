from datetime import timedelta

from blixard.model.changes import UndoEntry, UndoSide
from blixard.plan.retention import UndoPolicy, expired, retained
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


NEW = UndoEntry(made_at=NOW, verb="import", title="", before=UndoSide(), after=UndoSide())


def test_a_change_keeps_its_own_entry_and_gives_up_those_that_it_pushes_out() -> None:
    entries = [NEW.summary(), entry(2), entry(1)]

    assert retained(NEW, entries, UndoPolicy(keep=2), NOW) == (NEW, (1,))


def test_a_change_whose_entry_is_given_up_at_once_keeps_none_of_its_own() -> None:
    assert retained(NEW, [NEW.summary(), entry(1)], UndoPolicy(keep=0), NOW) == (None, (1,))
