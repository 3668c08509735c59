import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from blixard import files
from blixard.errors import LimitExceeded, StorageError


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    path = tmp_path / "file"
    fd = files.create(path)
    yield fd, path
    os.close(fd)


def test_positioned_writes_do_not_move_the_position(opened: tuple[int, Path]) -> None:
    fd, path = opened
    files.pwrite_all(fd, b"world", 6, path)
    files.write_all(fd, memoryview(b"hello"), path)

    assert path.read_bytes() == b"hello\0world"


def test_views_of_wider_items_are_written_whole(opened: tuple[int, Path]) -> None:
    fd, path = opened
    files.pwrite_all(fd, memoryview(b"abcdefgh").cast("Q"), 0, path)

    assert path.read_bytes() == b"abcdefgh"


def test_a_short_write_goes_on_where_it_stopped() -> None:
    # a pipe takes 64 KiB; with O_NONBLOCK off, a reader that drains it lets the rest follow
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        files.write_all(writing, bytes(range(256)) * 4096, "pipe")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        received = stream.read()
    os.waitpid(child, 0)

    assert received == bytes(range(256)) * 4096


def test_a_file_size_limit_is_a_storage_error_after_a_short_write(opened: tuple[int, Path]) -> None:
    fd, path = opened
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match="file too large"):
            files.write_all(fd, bytes(4096), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert path.stat().st_size == 1000


def test_truncate_and_syncs_work_on_an_open_file(opened: tuple[int, Path]) -> None:
    fd, path = opened
    files.truncate(fd, 1 << 30, path)
    files.fdatasync(fd, path)
    files.fsync(fd, path)

    assert path.stat().st_size == 1 << 30
    assert files.allocated_bytes(path) < 1 << 20


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))

    assert files.read_bytes(path, 100) == bytes(100)
    with pytest.raises(LimitExceeded, match="larger than 99 bytes"):
        files.read_bytes(path, 99)


def test_reading_refuses_links_fifos_and_directories(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()

    for name in ("link", "fifo", "folder", "missing"):
        with pytest.raises(StorageError, match=name):
            files.read_bytes(tmp_path / name, 10)
