"""What a disk is taken for: by the operator's word, or by its first bytes but never further."""

from __future__ import annotations

from pathlib import Path

import pytest

from blixard.disks.detect import open_reader
from blixard.errors import LimitExceeded, MalformedExport, StorageError
from blixard.limits import Limits
from blixard.model.structs import DiskFormat
from support.descriptors import no_descriptor_left
from support.qcow2_builder import CLUSTER, GUEST_SIZE, ImageBuilder


def test_a_qcow2_image_is_detected(tmp_path: Path) -> None:
    with open_reader(ImageBuilder().save(tmp_path / "disk")) as reader:
        assert (reader.format, reader.size_bytes) == (DiskFormat.QCOW2, GUEST_SIZE)


def test_a_qcow2_image_that_is_called_raw_stays_raw(tmp_path: Path) -> None:
    image = ImageBuilder().backing(b"/etc/shadow").save(tmp_path / "disk")

    with open_reader(image, DiskFormat.RAW) as reader:
        buffer = bytearray(reader.size_bytes)
        reader.read_into(0, memoryview(buffer))
        assert (reader.format, bytes(buffer)) == (DiskFormat.RAW, image.read_bytes())


@pytest.mark.parametrize("name", [b"base", b"/etc/shadow", b"json:{}"])
def test_a_detected_image_with_a_backing_file_is_refused_whatever_the_name(name: bytes, tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(bytes(CLUSTER))

    with pytest.raises(MalformedExport, match="nobody said that it is qcow2") as refusal:
        open_reader(ImageBuilder().backing(name).save(tmp_path / "disk"))
    assert "format=qcow2" in str(refusal.value.hint)


@pytest.mark.parametrize("data", [b"", b"QF", b"QFI", b"KDMV" + bytes(600), bytes(4096)])
def test_anything_else_is_raw(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(data)

    with open_reader(tmp_path / "disk") as reader:
        assert (reader.format, reader.size_bytes) == (DiskFormat.RAW, len(data))


def test_a_file_that_is_called_qcow2_must_be_qcow2(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(4096))

    with pytest.raises(MalformedExport, match="no complete qcow2 header"):
        open_reader(tmp_path / "disk", DiskFormat.QCOW2)


def test_a_missing_disk_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        open_reader(tmp_path / "none")


def test_a_refused_disk_leaves_no_descriptor_open(tmp_path: Path) -> None:
    image = ImageBuilder().backing(b"base").save(tmp_path / "disk")

    with no_descriptor_left(tmp_path), pytest.raises(MalformedExport):
        open_reader(image)


@pytest.mark.parametrize("format_", [DiskFormat.RAW, DiskFormat.QCOW2, None])
def test_the_limits_given_are_the_limits_used(format_: DiskFormat | None, tmp_path: Path) -> None:
    image = ImageBuilder().save(tmp_path / "disk")

    with pytest.raises(LimitExceeded, match=r"limits\.disk_bytes"):
        open_reader(image, format_, limits=Limits(disk_bytes=CLUSTER))


def test_a_size_between_sectors_is_cut_as_qemu_does(tmp_path: Path) -> None:
    with open_reader(ImageBuilder().fields(size=GUEST_SIZE - 1).save(tmp_path / "disk")) as reader:
        assert reader.size_bytes == GUEST_SIZE - 512


@pytest.mark.parametrize("format_", [DiskFormat.RAW, DiskFormat.QCOW2])
def test_reading_past_the_end_is_an_error(format_: DiskFormat, tmp_path: Path) -> None:
    image = ImageBuilder().save(tmp_path / "disk")

    with open_reader(image, format_) as reader, pytest.raises(StorageError, match="ends at byte"):
        reader.read_into(reader.size_bytes - 1, memoryview(bytearray(2)))
