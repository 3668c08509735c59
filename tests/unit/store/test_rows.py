from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blixard.errors import StorageError
from blixard.files.database import Database
from blixard.store.rows import PACKED_FROM, pack, unpack

LARGE = b'{"vms": [' + b"1234567890, " * PACKED_FROM + b"0]}"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "state.db", make=True)
    yield opened
    opened.close()


def test_a_small_row_stays_json() -> None:
    assert pack(b'{"id": 1}') == b'{"id": 1}'


@pytest.mark.parametrize("text", [b"{}", LARGE])
def test_what_was_packed_comes_back(text: bytes, database: Database) -> None:
    assert unpack(pack(text), database) == text


def test_a_large_row_is_compressed() -> None:
    assert len(pack(LARGE)) < len(LARGE) / 10


def test_a_damaged_row_is_an_error_that_names_the_database(database: Database) -> None:
    stored = bytearray(pack(LARGE))
    stored[len(stored) // 2] ^= 1

    with pytest.raises(StorageError, match=r"state\.db` is damaged"):
        unpack(bytes(stored), database)
