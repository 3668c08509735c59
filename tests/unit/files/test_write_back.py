from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from blixard.errors import StorageError
from blixard.files import AtomicFile, SinkStream, observe
from blixard.files.write_back import FLUSH_BYTES, WRITE_BACK_BYTES, WriteBack, begin_write_back

BLOCK = bytes(range(256)) * (WRITE_BACK_BYTES // 1024)


class Flushes:
    """Observes flushes; each waits for `go`, and then fails with the error number, if there is one."""

    def __init__(self, fails_with: int = 0) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.count = 0
        self._fails_with = fails_with

    def __call__(self, operation: str, _path: str) -> None:
        if operation != "fdatasync":
            return
        self.count += 1
        self.begun.set()
        assert self.go.wait(30)
        if self._fails_with:
            raise OSError(self._fails_with, "")


def test_it_changes_nothing_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("r+b") as file:
        begin_write_back(file.fileno(), 0, 1 << 30)

    assert path.read_bytes() == b"content"


def test_what_cannot_be_written_back_is_left_alone() -> None:
    reading, writing = os.pipe()
    try:
        begin_write_back(writing, 0, 10)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_large_stream_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        with WriteBack(file.fileno(), path) as write_back, SinkStream(file.fileno(), path, write_back) as stream:
            for _ in range(9):
                stream.write(BLOCK)

        assert path.read_bytes() == BLOCK * 9


def test_a_large_file_is_flushed_while_it_is_written(tmp_path: Path) -> None:
    flushes = Flushes()
    with (tmp_path / "file").open("wb") as file, observe(flushes), WriteBack(file.fileno(), "file") as write_back:
        write_back.advance(FLUSH_BYTES - 1)
        assert flushes.count == 0
        write_back.advance(1)
        assert flushes.begun.wait(30)
        # whoever writes does not wait, and what comes meanwhile is one more flush
        for _ in range(3):
            write_back.advance(FLUSH_BYTES)
        flushes.begun.clear()
        flushes.go.set()
        assert flushes.begun.wait(30)
    assert flushes.count == 2


def test_what_a_flush_met_is_raised_for_ever(tmp_path: Path) -> None:
    """The kernel tells a descriptor of an I/O error once: a later `fsync` would say that all is well."""
    flushes = Flushes(errno.EIO)
    flushes.go.set()
    with (tmp_path / "file").open("wb") as file, observe(flushes):
        write_back = WriteBack(file.fileno(), "the file")
        write_back.advance(FLUSH_BYTES)
        assert flushes.begun.wait(30)
        write_back.close()
        with pytest.raises(StorageError, match="cannot fdatasync `the file`"):
            write_back.check()
        with pytest.raises(StorageError, match="cannot fdatasync `the file`"):
            write_back.advance(FLUSH_BYTES)


def test_a_file_with_a_failed_flush_never_gets_its_name(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    flushes = Flushes(errno.EIO)
    with observe(flushes), AtomicFile(target) as file:
        for _ in range(0, FLUSH_BYTES, len(BLOCK)):
            file.file.write(BLOCK)
        file.file.flush()
        assert flushes.begun.wait(30)
        flushes.go.set()
        with pytest.raises(StorageError, match="fdatasync"):
            file.commit()

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
