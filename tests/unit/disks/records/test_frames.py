from __future__ import annotations

import pytest
import zstandard

from blixard.disks.records.frames import make_frame, open_frame
from blixard.errors import DigestMismatch, LimitExceeded, MalformedExport


@pytest.mark.parametrize("data", [b"x", b"abc" * 50_000, bytes(1 << 20)])
def test_a_frame_gives_back_what_went_in(data: bytes) -> None:
    assert open_frame(make_frame(data), len(data)) == data


def test_a_frame_is_the_same_whatever_kind_of_buffer_holds_the_data() -> None:
    data = b"some guest bytes" * 5000

    assert make_frame(data) == make_frame(bytearray(data)) == make_frame(memoryview(data))


def test_a_frame_states_its_size_and_carries_neither_checksum_nor_dictionary() -> None:
    header = zstandard.get_frame_parameters(make_frame(b"abc" * 1000))

    assert (header.content_size, header.has_checksum, header.dict_id) == (3000, False, 0)


def test_a_length_over_the_limit_is_refused_before_the_frame_is_looked_at() -> None:
    with pytest.raises(LimitExceeded, match="record_bytes"):
        open_frame(b"", 101, record_bytes=100)


@pytest.mark.parametrize("length", [0, -1])
def test_a_record_of_no_bytes_is_malformed(length: int) -> None:
    with pytest.raises(MalformedExport, match="holds nothing"):
        open_frame(make_frame(b""), length)


def test_a_frame_of_another_length_than_its_record_is_malformed() -> None:
    with pytest.raises(MalformedExport, match="states `3000` bytes, its record `3001`"):
        open_frame(make_frame(b"abc" * 1000), 3001)


def test_a_damaged_body_is_a_digest_mismatch_that_keeps_its_cause() -> None:
    frame = make_frame(bytes(range(256)) * 100)

    with pytest.raises(DigestMismatch) as caught:
        open_frame(frame[:-4], 25600)
    assert isinstance(caught.value.__cause__, zstandard.ZstdError)


def test_a_level_is_kept_to_whatever_this_thread_compressed_with_before() -> None:
    data = b"".join(b"%d," % number for number in range(20_000))
    quick = make_frame(data, 1)

    small = make_frame(data, 19)

    assert len(small) < len(quick) == len(make_frame(data, 1))
    assert open_frame(small, len(data)) == open_frame(quick, len(data)) == data
