"""An input in memory, and what every adapter of `ports.Input` must do: an adapter's test class inherits the tests."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import pytest

from blixard.closing import Closing
from blixard.ports import Input

CONTENT = bytes(range(256)) * 12_000  # more than any buffer


class BytesInput(Closing):
    """An input in memory that can seek."""

    seekable = True

    def __init__(self, content: bytes, name: str = "memory") -> None:
        self.name = name
        self.size: int | None = len(content)
        self.stream: io.BufferedReader = io.BufferedReader(io.BytesIO(content))
        self._content = content

    def read_at(self, offset: int, n: int) -> bytes:
        """See `Input.read_at`."""
        if self.stream.closed:
            raise ValueError("closed")
        return self._content[offset : offset + n]

    def close(self) -> None:
        """See `Input.close`."""
        self.stream.close()


class InputConformance(ABC):
    """Rules for every input; `made` opens one with this content."""

    @abstractmethod
    def made(self, content: bytes) -> Input:
        """A new input; whatever feeds it is done by then, or done in a thread."""

    def test_the_stream_gives_all_of_it_once(self) -> None:
        with self.made(CONTENT) as given:
            head, rest, end = given.stream.read(2), given.stream.read(), given.stream.read(1)

        assert (head + rest, end) == (CONTENT, b"")

    def test_a_peek_takes_nothing(self) -> None:
        with self.made(CONTENT) as given:
            seen = given.stream.peek(2)[:2]
            read = given.stream.read(2)

        assert seen == read == CONTENT[:2]

    def test_an_empty_one_ends_at_once(self) -> None:
        with self.made(b"") as given:
            assert given.stream.read(1) == b""

    def test_it_has_a_name(self) -> None:
        with self.made(CONTENT) as given:
            assert given.name

    def test_it_closes_at_the_end_of_its_block_and_once_more_harmlessly(self) -> None:
        with self.made(CONTENT) as given:
            pass
        given.close()

        assert given.stream.closed
        with pytest.raises(ValueError, match="closed"):
            given.stream.read(1)


class SeekableConformance(InputConformance):
    """Rules for what can seek too."""

    def test_it_says_so_and_how_large_it_is(self) -> None:
        with self.made(CONTENT) as given:
            assert (given.seekable, given.size) == (True, len(CONTENT))

    def test_any_part_can_be_read(self) -> None:
        with self.made(CONTENT) as given:
            for offset, n in ((0, 1), (0, len(CONTENT)), (1_500_001, 1_500_000), (len(CONTENT) - 1, 1), (7, 0)):
                assert given.read_at(offset, n) == CONTENT[offset : offset + n]

    def test_a_read_is_short_at_the_end_only(self) -> None:
        with self.made(CONTENT) as given:
            last = given.read_at(len(CONTENT) - 3, 10)
            behind = given.read_at(len(CONTENT), 1), given.read_at(len(CONTENT) + 5, 1)

        assert last == CONTENT[-3:]
        assert behind == (b"", b"")

    def test_neither_way_of_reading_moves_the_other(self) -> None:
        with self.made(CONTENT) as given:
            first = given.stream.read(10)
            there = given.read_at(5, 10), given.read_at(5, 10)
            second = given.stream.read(10)

        assert first + second == CONTENT[:20]
        assert there == (CONTENT[5:15],) * 2

    def test_threads_read_beside_each_other(self) -> None:
        offsets = [number * 9973 for number in range(300)]
        with self.made(CONTENT) as given, ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda offset: given.read_at(offset, 1000), offsets))

        assert found == [CONTENT[offset : offset + 1000] for offset in offsets]

    def test_nothing_is_read_from_what_is_closed(self) -> None:
        with self.made(CONTENT) as given:
            pass
        with pytest.raises(ValueError, match="closed"):
            given.read_at(0, 1)


class StreamConformance(InputConformance):
    """Rules for what cannot seek."""

    def test_it_says_so_and_does_not_know_its_size(self) -> None:
        with self.made(CONTENT) as given:
            assert (given.seekable, given.size) == (False, None)

    def test_no_part_of_it_can_be_read(self) -> None:
        with self.made(CONTENT) as given, pytest.raises(io.UnsupportedOperation):
            given.read_at(0, 1)
