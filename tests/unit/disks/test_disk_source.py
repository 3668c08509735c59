"""Reading a file by offset: what is refused, what an I/O error says, and how a change is noticed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from blixard.disks.source import DiskFile
from blixard.errors import StorageError
from support.descriptors import no_descriptor_left

KIB = 1024


@pytest.fixture
def holey(tmp_path: Path) -> Iterator[DiskFile]:
    """1 MiB: data at 0 and at 512 KiB, holes between."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(1024 * KIB)
        file.write(b"a" * 4 * KIB)
        file.seek(512 * KIB)
        file.write(b"b" * 64 * KIB)
    with DiskFile.open(path) as source:
        yield source


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(StorageError, match="neither a regular file nor a block device"):
        DiskFile.open(tmp_path / "fifo")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="neither"):
        DiskFile.open(tmp_path)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind("socket")

        with pytest.raises(StorageError, match="cannot open"):
            DiskFile.open(Path("socket"))


def test_a_character_device_is_refused() -> None:
    with pytest.raises(StorageError, match="neither"):
        DiskFile.open(Path("/dev/zero"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"cannot open `{tmp_path}/none`"):
        DiskFile.open(tmp_path / "none")


def test_a_refused_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    with no_descriptor_left(tmp_path):
        for _ in range(3):
            with pytest.raises(StorageError):
                DiskFile.open(tmp_path)


def test_data_ranges_are_what_the_file_system_stores(holey: DiskFile) -> None:
    assert list(holey.data_ranges(0, holey.size_bytes)) == [(0, 4 * KIB), (512 * KIB, 576 * KIB)]


def test_data_ranges_are_cut_to_what_was_asked_for(holey: DiskFile) -> None:
    assert list(holey.data_ranges(1 * KIB, 2 * KIB)) == [(1 * KIB, 2 * KIB)]
    assert list(holey.data_ranges(520 * KIB, 1024 * KIB)) == [(520 * KIB, 576 * KIB)]
    assert list(holey.data_ranges(64 * KIB, 256 * KIB)) == []
    assert list(holey.data_ranges(700 * KIB, 1024 * KIB)) == []


def test_a_file_system_that_knows_no_holes_makes_everything_data() -> None:
    with DiskFile.open(Path("/proc/self/mem")) as source:
        assert list(source.data_ranges(5, 100)) == [(5, 100)]


def test_an_io_error_names_path_and_offset() -> None:
    with (
        DiskFile.open(Path("/proc/self/mem")) as source,
        pytest.raises(StorageError, match="`/proc/self/mem` at offset 64: Input/output error"),
    ):
        source.read(64, 10)


def test_a_file_that_became_shorter_is_an_error_that_says_where(holey: DiskFile) -> None:
    os.truncate(holey.path, 700)

    with pytest.raises(StorageError, match="ends at byte 700, 1000 bytes at offset 0 were expected"):
        holey.read(0, 1000)


def test_padded_reads_are_zeros_after_the_end(holey: DiskFile) -> None:
    buffer = bytearray(b"\xee" * 1000)

    holey.read_padded(1024 * KIB - 400, memoryview(buffer))

    assert buffer == bytes(1000)


def test_an_offset_past_all_files_is_an_error(holey: DiskFile) -> None:
    with pytest.raises(StorageError):
        holey.read(2**64, 1)


def test_a_closed_source_is_an_error_and_closing_again_is_not(holey: DiskFile) -> None:
    holey.close()
    holey.close()

    for use in (
        lambda: holey.read(0, 1),
        lambda: list(holey.data_ranges(0, 1)),
        holey.changed,
        holey.current_size,
    ):
        with pytest.raises(StorageError, match=r"(?i)bad file descriptor"):
            use()


def test_reading_is_no_change(holey: DiskFile) -> None:
    holey.read(0, 100)

    assert not holey.changed()


def test_a_write_is_a_change(holey: DiskFile) -> None:
    with holey.path.open("r+b") as file:
        file.write(b"x")

    assert holey.changed()


def test_a_change_that_puts_the_time_back_is_a_change(holey: DiskFile) -> None:
    before = holey.path.stat()
    with holey.path.open("r+b") as file:
        file.write(b"x")
    os.utime(holey.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert holey.changed()


def test_two_names_of_one_file_have_one_identity(holey: DiskFile, tmp_path: Path) -> None:
    os.link(holey.path, tmp_path / "other")

    with DiskFile.open(tmp_path / "other") as other:
        assert other.identity == holey.identity


def test_an_operators_symlink_is_followed(holey: DiskFile, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(holey.path)

    with DiskFile.open(tmp_path / "link") as other:
        assert other.identity == holey.identity
