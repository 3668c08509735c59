from __future__ import annotations

import gzip
import io
import time

import pytest

from blixard.errors import MalformedExport
from blixard.format.envelope import MemberDamaged, end_member, member, open_text
from blixard.format.resync import BEGIN, MemberByMember
from support.documents import noise


class Drip(io.RawIOBase):
    """A stream that gives seven bytes at a time."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(min(size, 7) if size >= 0 else 7)


def read_on(stream: object) -> tuple[bytes, int]:
    """All text that can be had, damaged members' left out, and how many those are."""
    source = open_text(stream, MemberByMember)  # type: ignore[arg-type]
    assert isinstance(source, MemberByMember)
    text, damaged = b"", 0
    while True:
        try:
            piece = source.read(1 << 20)
        except MemberDamaged:
            damaged += 1
            if not source.skip():
                return text, damaged
            continue
        if not piece:
            return text, damaged
        text += piece


MEMBERS = [member(b"%d " % number + noise(3000 * number, number), 1) for number in range(6)]
TEXTS = [gzip.decompress(each) for each in MEMBERS]


@pytest.mark.parametrize("stream", [io.BytesIO, Drip])
def test_whole_members_are_read_as_ever(stream: type) -> None:
    content = b"".join(MEMBERS) + end_member(9)

    assert read_on(stream(content)) == (b"".join(TEXTS), 0)


def test_one_large_member_of_somebody_else_is_read_as_ever() -> None:
    text = noise(3 << 20)

    assert read_on(io.BytesIO(gzip.compress(text, 1))) == (text, 0)


@pytest.mark.parametrize("stream", [io.BytesIO, Drip])
@pytest.mark.parametrize("place", [0, 3, 9, 10, 12, 400, -9, -1])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_damaged_member_costs_no_other(number: int, place: int, stream: type) -> None:
    damaged = bytearray(MEMBERS[number])
    damaged[place] ^= 0x41
    content = b"".join([*MEMBERS[:number], bytes(damaged), *MEMBERS[number + 1 :]])

    text, _ = read_on(stream(content))

    assert text.startswith(b"".join(TEXTS[:number]))
    assert text.endswith(b"".join(TEXTS[number + 1 :]))


def test_behind_the_last_damaged_member_there_is_nothing() -> None:
    source = open_text(io.BytesIO(MEMBERS[1] + MEMBERS[2][:-4] + b"\0\0\0\0"), MemberByMember)
    assert isinstance(source, MemberByMember)

    with pytest.raises(MemberDamaged):
        all(iter(lambda: source.read(1 << 20), b""))
    assert not source.skip()


def test_a_file_that_was_cut_short_is_cut_short() -> None:
    with pytest.raises(MalformedExport, match="ends early") as caught:
        read_on(io.BytesIO(b"".join(MEMBERS)[:-20]))
    assert not isinstance(caught.value, MemberDamaged)


def test_beginnings_without_end_cost_one_look_each() -> None:
    """A file made of beginnings: whoever tries each one to the end of the file needs hours."""
    stored = b"\x00\xff\xff\x00\x00"
    content = MEMBERS[1] + (BEGIN + b"\0\xff" + stored) * 50_000 + MEMBERS[2]

    begun = time.process_time()
    text, damaged = read_on(io.BytesIO(content))

    assert (text, damaged > 40_000) == (TEXTS[1] + TEXTS[2], True)
    assert time.process_time() - begun < 10
