from datetime import UTC, datetime, timedelta

import pytest

from blixard.cli.screen import human


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**3, "1.0 GiB"),
        (64 * 1024**4, "64.0 TiB"),
        (5000 * 1024**5, "5000.0 PiB"),
    ],
)
def test_sizes_are_shown_in_the_largest_unit(count: int | None, text: str) -> None:
    assert human.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (12, "12s"), (75, "1m 15s"), (93780, "1d 2h"), (3600, "1h 0m")]
)
def test_durations_are_shown_in_two_units(seconds: int, text: str) -> None:
    assert human.duration(timedelta(seconds=seconds)) == text


def test_a_moment_is_utc_with_its_age() -> None:
    when = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)

    assert human.moment(when, when + timedelta(hours=2)) == "2026-11-24 06:00:00Z (2h 0m ago)"
    assert human.moment(None) == "never"


def test_a_table_aligns_its_columns_and_leaves_no_trailing_space() -> None:
    text = human.table(("name", "size"), [("web-1", "1"), ("db", "1000")], right=(1,))

    assert text == "NAME   SIZE\nweb-1     1\ndb     1000"


def test_wide_characters_keep_the_columns_straight() -> None:
    assert human.table(("a", "b"), [("漢字", "x"), ("abcd", "y")]).splitlines()[1:] == ["漢字  x", "abcd  y"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in human.table(("a",), [("\x1b[2J",)])
    assert human.visible("a\nb") == "a\\nb"


def test_pairs_stand_below_each_other() -> None:
    assert human.pairs([("name", "x"), ("leader", "1")]) == "name:    x\nleader:  1"
