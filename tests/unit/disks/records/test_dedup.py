from __future__ import annotations

import random
from pathlib import Path

import pytest

from blixard.disks.records.dedup import DigestTable
from blixard.errors import StorageError


def digests(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(32) for _ in range(count)]


def fill(table: DigestTable, keys: list[bytes]) -> None:
    for key in keys:
        table.put(key, bytes(8))


def test_the_first_of_equal_digests_is_new_and_no_other() -> None:
    table = DigestTable()

    assert [table.add(digest) for digest in (b"a" * 32, b"b" * 32, b"a" * 32)] == [True, True, False]
    assert len(table) == 2


def test_the_digest_of_zeros_is_a_digest_like_any_other() -> None:
    table = DigestTable()

    assert table.add(bytes(32))
    assert not table.add(bytes(32))


def test_values_are_kept_and_replaced() -> None:
    table = DigestTable(4)

    assert table.set_default(b"a" * 32, b"1111") is None
    assert table.set_default(b"a" * 32, b"2222") == b"1111"
    table.put(b"a" * 32, b"3333")
    assert table.get(b"a" * 32) == b"3333"
    assert table.get(b"b" * 32) is None


def test_past_its_bound_a_table_goes_to_a_file_without_a_name(tmp_path: Path) -> None:
    table = DigestTable(8, spill_bytes=200_000, folder=tmp_path)
    keys = digests(20_000)
    for number, key in enumerate(keys):
        table.put(key, number.to_bytes(8, "big"))

    assert table.spilled
    assert list(tmp_path.iterdir()) == []
    assert all(table.get(key) == number.to_bytes(8, "big") for number, key in enumerate(keys))
    assert all(table.get(key) is None for key in digests(1000, seed=2))
    table.close()


def test_within_its_bound_a_table_makes_no_file() -> None:
    table = DigestTable(8, folder=Path("/nonexistent"))
    fill(table, digests(5000))

    assert not table.spilled
    assert len(table) == 5000


def test_a_spill_that_cannot_be_made_names_its_folder() -> None:
    table = DigestTable(8, spill_bytes=100_000, folder=Path("/nonexistent"))

    with pytest.raises(StorageError, match="`/nonexistent`"):
        fill(table, digests(5000))


@pytest.mark.long
def test_two_million_digests_stay_right_in_a_spilled_table(tmp_path: Path) -> None:
    table = DigestTable(folder=tmp_path)
    keys = digests(2_000_000)

    assert all(table.add(key) for key in keys)
    assert not any(table.add(key) for key in keys)
    table.close()
