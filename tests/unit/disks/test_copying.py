"""A disk copied into another format shows the same, and stores no zeros."""

from __future__ import annotations

from pathlib import Path

import pytest

from blixard.disks.copying import copy_disk
from blixard.disks.detect import open_reader
from blixard.errors import StorageError
from blixard.limits import BLOCK_BYTES, KIB, MIB
from blixard.model.structs import DiskFormat
from support.disk_conformance import SIZE, read_all, whole
from support.disks import MemoryDisk


@pytest.mark.parametrize("shape", DiskFormat)
def test_the_copy_shows_what_the_disk_shows(shape: DiskFormat, tmp_path: Path) -> None:
    copy_disk(MemoryDisk(whole()), tmp_path / "copy", shape, SIZE)

    with open_reader(tmp_path / "copy", shape) as copy:
        assert read_all(copy) == whole()


def test_zeros_are_not_stored(tmp_path: Path) -> None:
    copy_disk(MemoryDisk(bytes(4 * MIB)), tmp_path / "copy", DiskFormat.RAW, 4 * MIB)

    assert (tmp_path / "copy").stat().st_size == 4 * MIB
    assert (tmp_path / "copy").stat().st_blocks == 0


def test_progress_adds_up_to_the_size(tmp_path: Path) -> None:
    told: list[int] = []
    disk = MemoryDisk(whole(), [(0, 70 * KIB), (MIB, 2 * MIB), (SIZE - 512, 512)])
    copy_disk(disk, tmp_path / "copy", DiskFormat.RAW, SIZE, told.append)

    assert sum(told) == SIZE
    assert min(told) >= 0


def test_what_lies_behind_the_new_size_is_left_out(tmp_path: Path) -> None:
    copy_disk(MemoryDisk(b"x" * 3 * BLOCK_BYTES), tmp_path / "copy", DiskFormat.QCOW2, BLOCK_BYTES)

    with open_reader(tmp_path / "copy") as copy:
        assert read_all(copy) == b"x" * BLOCK_BYTES


def test_what_cannot_be_read_ends_the_copy(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="memory"):
        copy_disk(MemoryDisk(b"x" * MIB, fails_at=70_000), tmp_path / "copy", DiskFormat.RAW, MIB)
