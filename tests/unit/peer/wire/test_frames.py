from __future__ import annotations

import struct
import tracemalloc

import pytest

from blixard.errors import InternalError, PeerMisbehaved
from blixard.limits import MIB
from blixard.model.structs import JsonObject
from blixard.peer.ports import BODY_BYTES, HEAD_BYTES
from blixard.peer.wire.frames import FrameReader, decode_head, encode_frame
from support.frames import fed


def encoded(head: JsonObject, body: bytes = b"") -> bytes:
    return b"".join(encode_frame(head, body))


def test_a_frame_is_laid_out_as_written() -> None:
    assert encoded({"type": "ping"}, b"xyz") == b'\0\0\0\x0f{"type":"ping"}\0\0\0\x03xyz'


def test_a_body_is_not_copied() -> None:
    body = bytes(1000)

    assert encode_frame({}, body)[-1] is body


def test_a_frame_without_a_body_is_one_buffer() -> None:
    assert encode_frame({}) == [b"\0\0\0\x02{}\0\0\0\0"]


@pytest.mark.parametrize(
    ("head", "body"), [({"x": "y" * HEAD_BYTES}, b""), ({}, bytes(BODY_BYTES + 1))], ids=["head", "body"]
)
def test_a_frame_that_no_peer_would_take_is_a_bug_of_ours(head: dict[str, object], body: bytes) -> None:
    with pytest.raises(InternalError):
        encode_frame(head, body)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 10_000])
def test_frames_come_out_however_the_bytes_come_in(step: int) -> None:
    sent: list[tuple[JsonObject, bytes]] = [({"n": n}, bytes([n]) * (n * 37)) for n in range(20)]
    stream = b"".join(encoded(*frame) for frame in sent)
    reader = FrameReader()

    got = [
        (head, bytes(body)) for at in range(0, len(stream), step) for head, body in fed(reader, stream[at : at + step])
    ]

    assert got == sent
    assert reader.between
    reader.end()


def test_the_room_is_never_more_than_is_missing() -> None:
    stream = encoded({"n": 1}, bytes(MIB))
    reader = FrameReader()
    head = len(stream) - MIB - 8
    ends = [4, 4 + head, 8 + head, 8 + head + MIB]
    at = 0
    while at < len(stream):
        with reader.room() as room:
            count = len(room)
            assert 1 <= count <= min(end for end in ends if end > at) - at
            room[:] = stream[at : at + count]
        frame = reader.filled(count)
        at += count

    assert frame is not None
    assert len(frame[1]) == MIB


def test_room_for_a_body_grows_with_what_came_not_with_what_was_announced() -> None:
    announced = encoded({})[:-4] + struct.pack(">I", BODY_BYTES)
    readers = [FrameReader() for _ in range(10)]
    tracemalloc.start()
    try:
        for reader in readers:
            assert list(fed(reader, announced + b"x")) == []
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert readers[0].body_length == BODY_BYTES
    assert held < 10 * 2.1 * MIB


def test_an_end_between_frames_is_an_end_and_within_one_is_not() -> None:
    reader = FrameReader()
    reader.end()
    stream = encoded({"n": 1}, b"body")
    for end in range(1, len(stream)):
        cut = FrameReader()
        list(fed(cut, stream[:end]))
        assert not cut.between
        with pytest.raises(PeerMisbehaved):
            cut.end()


def test_a_body_over_the_limit_is_refused_at_its_length() -> None:
    reader = FrameReader(limit=3)

    assert [bytes(body) for _, body in fed(reader, encoded({}, b"abc"))] == [b"abc"]
    with pytest.raises(PeerMisbehaved, match="4 bytes, 0 to 3"):
        list(fed(reader, encoded({}, b"abcd")[:-4]))


def test_no_limit_is_over_the_longest_body_of_the_protocol() -> None:
    reader = FrameReader(limit=1 << 40)

    with pytest.raises(PeerMisbehaved):
        list(fed(reader, encoded({})[:-4] + struct.pack(">I", BODY_BYTES + 1)))


def test_a_received_body_cannot_be_changed() -> None:
    ((_, body),) = fed(FrameReader(), encoded({}, b"abc"))

    assert isinstance(body, memoryview)
    assert body.readonly


@pytest.mark.parametrize(
    "text", ["{}", '{"a": [1, -2, true, null, "\\u00e9"]}', ' {"a":"\\ud83d\\ude00"} ', '{"é": 18446744073709551615}']
)
def test_a_head_is_any_object_of_plain_json(text: str) -> None:
    assert isinstance(decode_head(text.encode()), dict)
