from __future__ import annotations

import os
from pathlib import Path

from blixard.files import SinkStream
from blixard.files.streams import WRITE_BACK_BYTES
from blixard.files.write_back import begin_write_back


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
    block = bytes(range(256)) * (WRITE_BACK_BYTES // 1024)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        with SinkStream(fd, path) as stream:
            for _ in range(9):
                stream.write(block)
    finally:
        os.close(fd)

    assert path.read_bytes() == block * 9
