from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blixard.errors import UsageError
from blixard.site.quantities import parse_duration, parse_size, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90s", 90),
        ("10m", 600),
        ("26h", 93600),
        ("30d", 2592000),
        ("2w", 1209600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("36500d", 36500 * 86400),
    ],
)
def test_a_duration_is_read_in_its_units(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "m", "-5m", "5 m", "5y", "1e3s", "99999999999999w", "36501d", "٣s"[:1] + "x"]
)
def test_what_is_no_duration_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_shown_duration_reads_back(seconds: int) -> None:
    length = timedelta(seconds=seconds)

    assert parse_duration(show_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("512B", 512),
        ("1KiB", 1024),
        ("1K", 1024),
        ("1k", 1000),
        ("1kB", 1000),
        ("1.5GiB", 3 * 2**29),
        ("20 GB", 20 * 10**9),
        ("2T", 2 * 2**40),
    ],
)
def test_a_size_is_read_in_its_units(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_bare_number_counts_the_unit_that_the_option_says() -> None:
    assert parse_size("2048", bare_unit=10**6) == 2048 * 10**6


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1XB", "0.3B", "1 Gi B", "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)
