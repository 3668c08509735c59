from __future__ import annotations

import gzip
import io
import zlib

import pytest

from blixard.errors import MalformedExport
from blixard.format.envelope import END_BYTES, MemberStream, TextSource, end_member, index_offset, member, open_text


class Drip(io.RawIOBase):
    """A stream that gives one byte at a time, as a slow pipe may."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, 1) if size >= 0 else 1)


def drain(source: TextSource, size: int = 1 << 20) -> bytes:
    pieces = []
    while piece := source.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


def test_the_first_bytes_decide() -> None:
    assert not open_text(io.BytesIO(b"{}")).compressed
    assert open_text(io.BytesIO(gzip.compress(b"{}"))).compressed


@pytest.mark.parametrize("text", [b"", b"x", b"{}", b"abc" * 1000])
def test_a_plain_document_is_its_own_text(text: bytes) -> None:
    assert drain(open_text(io.BytesIO(text))) == text
    assert drain(open_text(Drip(text))) == text


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_members_are_one_text_in_pieces_no_larger_than_asked(size: int) -> None:
    texts = [b"", b"a", b"b" * 10_000, b"", b"c" * 100]
    content = b"".join(gzip.compress(text, mtime=0) for text in texts)

    assert drain(open_text(io.BytesIO(content)), size) == b"".join(texts)


def test_members_may_come_byte_by_byte() -> None:
    content = member(b"a" * 5000, 1) + member(b"", 1) + end_member(7)

    assert drain(open_text(Drip(content))) == b"a" * 5000


def test_optional_header_fields_are_passed() -> None:
    plain = zlib.compressobj(wbits=-15)
    body = plain.compress(b"x") + plain.flush()
    trailer = zlib.crc32(b"x").to_bytes(4, "little") + (1).to_bytes(4, "little")
    header = b"\x1f\x8b\x08\x1c" + b"\1" * 4 + b"\0\3" + b"\4\0extr" + b"name\0" + b"comment\0"

    assert drain(open_text(io.BytesIO(header + body + trailer))) == b"x"


def test_an_error_says_at_which_byte_the_damaged_member_begins() -> None:
    first = member(b"a", 1)
    damaged = bytearray(member(b"b" * 100, 1))
    damaged[-5] ^= 1

    with pytest.raises(MalformedExport, match=f"member at byte `{len(first)}` is damaged"):
        drain(open_text(io.BytesIO(first + damaged)))


def test_what_follows_the_last_member_is_refused_with_its_place() -> None:
    first = member(b"a", 1)

    with pytest.raises(MalformedExport, match=f"at byte `{len(first)}`"):
        drain(open_text(io.BytesIO(first + b"\0\0")))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_member_is_gzip_without_time_or_name(level: int) -> None:
    stored = member(b"text" * 100, level)

    assert gzip.decompress(stored) == b"text" * 100
    assert stored[3:8] == b"\0" * 5


def test_the_end_member_is_empty_gzip_and_holds_an_offset() -> None:
    end = end_member(1 << 40)

    assert len(end) == END_BYTES
    assert gzip.decompress(end) == b""
    assert index_offset(b"before" + end) == 1 << 40


@pytest.mark.parametrize("tail", [b"", end_member(5)[1:], end_member(5) + b"\0", member(b"", 1) * 3])
def test_anything_else_at_the_end_holds_no_offset(tail: bytes) -> None:
    assert index_offset(tail) is None


def test_a_long_member_has_the_same_bytes_however_it_was_fed() -> None:
    text = bytes(range(256)) * 5000
    by_piece, at_once = MemberStream(1), MemberStream(1)
    pieces = [by_piece.feed(text[at : at + 1000]) for at in range(0, len(text), 1000)]

    assert b"".join([*pieces, by_piece.end()]) == at_once.feed(text) + at_once.end()
