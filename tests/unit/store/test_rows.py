from __future__ import annotations

import pytest

from blixard.errors import StorageError
from blixard.store.rows import PACKED_FROM, pack, unpack

LARGE = b'{"vms": [' + b"1234567890, " * PACKED_FROM + b"0]}"


def test_a_small_row_stays_json() -> None:
    assert pack(b'{"id": 1}') == b'{"id": 1}'


@pytest.mark.parametrize("text", [b"{}", LARGE])
def test_what_was_packed_comes_back(text: bytes) -> None:
    assert unpack(pack(text), "state.db") == text


def test_a_large_row_is_compressed() -> None:
    assert len(pack(LARGE)) < len(LARGE) / 10


def test_a_damaged_row_is_an_error_that_names_the_database() -> None:
    stored = bytearray(pack(LARGE))
    stored[len(stored) // 2] ^= 1

    with pytest.raises(StorageError, match=r"`state\.db` is damaged"):
        unpack(bytes(stored), "state.db")
