import io
import os
from pathlib import Path

import pytest

from blixard.errors import StorageError, UsageError
from blixard.place import open_input


def test_a_file_is_read_and_can_seek(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(b"0123456789")
    with open_input(str(tmp_path / "export")) as given:
        end = given.read_at(7, 10)
        start = given.stream.read(2)

    assert (given.seekable, given.size, given.name) == (True, 10, str(tmp_path / "export"))
    assert (start, end) == (b"01", b"789")
    assert given.stream.closed
    given.close()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(b"content")
    (tmp_path / "latest").symlink_to("export")
    with open_input(str(tmp_path / "latest")) as given:
        assert given.stream.read() == b"content"


def test_a_fifo_cannot_seek(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    keep = os.open(tmp_path / "fifo", os.O_RDWR)
    os.write(keep, b"content")
    with open_input(str(tmp_path / "fifo")) as given:
        content = given.stream.read(7)
        with pytest.raises(io.UnsupportedOperation):
            given.read_at(0, 1)
    os.close(keep)

    assert (given.seekable, given.size, content) == (False, None, b"content")


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match=r"`export\.json`: no such file") as caught:
        open_input("export.json")
    assert str(tmp_path) in (caught.value.hint or "")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        open_input(str(tmp_path))


def test_an_error_while_reading_names_the_input() -> None:
    # reading at address 0 of one's own memory is EIO: the only file that fails on every machine
    with open_input("/proc/self/mem") as given, pytest.raises(StorageError, match="cannot read `/proc/self/mem`"):
        given.stream.read(10)
