"""Raw disks beyond the suite of their port: growing, resuming, modes, and failing at every file operation."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blixard import files
from blixard.disks.raw import RawReader, RawWriter
from blixard.disks.source import DiskFile
from blixard.errors import InternalError, StorageError
from support.descriptors import no_descriptor_left

MIB = 1 << 20


def test_a_new_disk_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        RawWriter(tmp_path / "disk", MIB).close()
    finally:
        os.umask(before)

    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"precious")

    with pytest.raises(StorageError, match="cannot create"):
        RawWriter(tmp_path / "disk", MIB)
    assert (tmp_path / "disk").read_bytes() == b"precious"


def test_resuming_needs_the_file_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open"):
        RawWriter(tmp_path / "disk", MIB, resume=True)
    with RawWriter(tmp_path / "disk", MIB) as first:
        first.write(100, b"one")
    with RawWriter(tmp_path / "disk", MIB, resume=True) as second:
        second.write(200, b"two")
        second.finish()

    data = (tmp_path / "disk").read_bytes()
    assert (data[100:103], data[200:203], len(data)) == (b"one", b"two", MIB)


def test_without_a_size_the_file_grows_until_it_is_known(tmp_path: Path) -> None:
    with RawWriter(tmp_path / "disk", None) as writer:
        writer.write(MIB, b"far")
        assert writer.read(MIB - 2, 10) == b"\0\0far" + bytes(5)
        writer.discard(0, 64 * MIB)
        writer.resize(2 * MIB)
        writer.write(5, b"near")
        writer.finish()

    assert (tmp_path / "disk").read_bytes() == (bytes(5) + b"near").ljust(2 * MIB, b"\0")


def test_a_write_beyond_the_end_is_our_bug(tmp_path: Path) -> None:
    with RawWriter(tmp_path / "disk", MIB) as writer, pytest.raises(InternalError):
        writer.write(MIB - 1, b"xx")


def test_a_disk_of_terabytes_takes_no_space(tmp_path: Path) -> None:
    with RawWriter(tmp_path / "disk", 8 << 40) as writer:
        writer.write((8 << 40) - 10, b"x" * 10)
        writer.finish()

    with RawReader(DiskFile.open(tmp_path / "disk")) as reader:
        assert reader.size_bytes == 8 << 40
        assert sum(extent.length for extent in reader.extents()) <= 1 << 16
    assert (tmp_path / "disk").stat().st_blocks * 512 < MIB


def test_discarding_gives_the_space_back(tmp_path: Path) -> None:
    with RawWriter(tmp_path / "disk", 4 * MIB) as writer:
        writer.write(0, b"x" * (4 * MIB))
        writer.sync()
        writer.discard(0, 4 * MIB)
        writer.finish()

    assert (tmp_path / "disk").stat().st_blocks * 512 < MIB


def test_discarding_writes_zeros_where_holes_cannot_be_punched(tmp_path: Path) -> None:
    def no_holes(operation: str, _path: str) -> None:
        if operation.startswith("punch"):
            raise OSError(errno.EOPNOTSUPP, "no")

    with RawWriter(tmp_path / "disk", 3 * MIB) as writer:
        writer.write(0, b"x" * (3 * MIB))
        with files.observe(no_holes):
            writer.discard(100, 2 * MIB)

        assert writer.read(0, 3 * MIB) == b"x" * 100 + bytes(2 * MIB) + b"x" * (MIB - 100)


@pytest.mark.parametrize("failing", ["create", "truncate", "write", "punch a hole in", "fdatasync", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_each_failing_operation_is_a_storage_error_that_names_the_disk(
    failing: str, number: int, tmp_path: Path
) -> None:
    def fail(operation: str, _path: str) -> None:
        if operation == failing:
            raise OSError(number, os.strerror(number))

    with files.observe(fail), pytest.raises(StorageError, match=f"cannot {failing} `{tmp_path}/disk`"):
        use_all_operations(tmp_path / "disk")


def use_all_operations(path: Path) -> None:
    with RawWriter(path, MIB) as writer:
        writer.write(0, b"x")
        writer.discard(0, 1)
        writer.sync()
        writer.finish()


def test_a_disk_that_cannot_be_made_leaves_no_descriptor_open(tmp_path: Path) -> None:
    with no_descriptor_left(tmp_path), pytest.raises(StorageError):
        RawWriter(tmp_path / "disk", 1 << 62)


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[Path]:
    """A block device over a file of 2 MiB."""
    (tmp_path / "backing").write_bytes(b"block" * (2 * MIB // 5) + bytes(2 * MIB % 5))
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        pytest.skip("needs root and losetup")
    made = subprocess.run(
        ["losetup", "--find", "--show", tmp_path / "backing"], check=False, capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"no loop devices here: {made.stderr.strip()}")
    yield Path(made.stdout.strip())
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@pytest.mark.root
def test_a_block_device_is_read_whole_and_writes_to_it_are_noticed(loop_device: Path) -> None:
    with RawReader(DiskFile.open(loop_device)) as reader:
        buffer = bytearray(10)
        reader.read_into(2 * MIB - 12, memoryview(buffer))
        assert (reader.size_bytes, [e.length for e in reader.extents()]) == (2 * MIB, [2 * MIB])
        assert buffer == b"blockblock"
        assert not reader.changed()
        with loop_device.open("r+b") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        assert reader.changed()
