"""Every adapter of `ports.Input`, and the fake, against one suite."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import StorageError
from blixard.place import open_input, reread, spool, spooled
from blixard.place.source import FileInput
from blixard.place.standard import standard_input
from blixard.ports import Input
from support.inputs import CONTENT, BytesInput, SeekableConformance, StreamConformance


def piped(content: bytes) -> int:
    """A descriptor from which the content comes, fed by a thread."""
    reading, writing = os.pipe()

    def feed() -> None:
        with suppress(StorageError):
            files.write_all(writing, content, "pipe")
        os.close(writing)

    threading.Thread(target=feed, daemon=True).start()
    return reading


class TestMemory(SeekableConformance):
    def made(self, content: bytes) -> Input:
        return BytesInput(content)


class TestFile(SeekableConformance):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "export"

    def made(self, content: bytes) -> Input:
        self.path.write_bytes(content)
        return open_input(str(self.path))


class TestLinkedFile(TestFile):
    def made(self, content: bytes) -> Input:
        super().made(content).close()
        link = self.path.with_name("latest")
        link.symlink_to(self.path)
        return open_input(str(link))


class TestRedirectedFile(TestFile):
    def made(self, content: bytes) -> Input:
        super().made(content).close()
        fd = os.open(self.path, os.O_RDONLY)
        os.lseek(fd, 3, os.SEEK_SET)
        try:
            return FileInput(standard_input(fd), "standard input")
        finally:
            os.close(fd)


class TestPipe(StreamConformance):
    def made(self, content: bytes) -> Input:
        return FileInput(piped(content), "standard input")


class TestSpooledPipe(SeekableConformance):
    def made(self, content: bytes) -> Input:
        return spool(iter([content[:5], b"", content[5:]]), "a pipe", task="keep it")


def test_what_cannot_seek_is_copied_for_as_long_as_it_is_needed() -> None:
    with FileInput(piped(CONTENT), "a pipe") as given, spooled(given) as source:
        assert (source.seekable, source.size, source.name) == (True, len(CONTENT), "a pipe")
        assert source.read_at(1000, 50) == CONTENT[1000:1050]
    assert source.stream.closed


def test_what_can_seek_is_not_copied_and_stays_open(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(CONTENT)
    with open_input(str(tmp_path / "export")) as given:
        with spooled(given) as source:
            assert source is given
        assert given.stream.read(1) == CONTENT[:1]


def test_streams_over_one_input_do_not_move_each_other(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(CONTENT)
    with open_input(str(tmp_path / "export")) as given:
        one, other = reread(given), reread(given)
        heads = one.read(10), other.read(20), given.stream.read(30)
        rest = one.read()

    assert heads == (CONTENT[:10], CONTENT[:20], CONTENT[:30])
    assert rest == CONTENT[10:]
