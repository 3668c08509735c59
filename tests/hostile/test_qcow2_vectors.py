"""Every hostile qcow2 image is refused for its one reason, quickly and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from blixard.disks.detect import open_reader
from blixard.limits import MIB
from blixard.model.structs import DiskFormat
from hostile.qcow2_vectors import VECTORS
from support.disk_conformance import read_all, read_extents
from support.qcow2_builder import CLUSTER, GUEST_SIZE, ImageBuilder
from support.qemu import assert_clean, guest_bytes, needs_qemu


def read_everything(image: Path) -> bytes:
    with open_reader(image, DiskFormat.QCOW2) as reader:
        return read_extents(reader) + read_all(reader)


def export(image: Path) -> None:
    """Read as an export does, piece by piece."""
    buffer = memoryview(bytearray(MIB))
    with open_reader(image, DiskFormat.QCOW2) as reader:
        for extent in reader.extents():
            for at in range(extent.offset, extent.offset + extent.length, MIB):
                reader.read_into(at, buffer[: extent.offset + extent.length - at])


@pytest.mark.parametrize("name", VECTORS)
def test_a_hostile_image_is_refused(name: str, tmp_path: Path) -> None:
    vector = VECTORS[name]
    image = vector.build(tmp_path)
    tracemalloc.start()
    began = time.monotonic()

    with pytest.raises(vector.error) as refusal:
        export(image)

    seconds, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert type(refusal.value) is vector.error
    assert vector.says in refusal.value.message
    assert refusal.value.exit_code is vector.exit_code
    assert seconds < 2
    assert peak < 64 * MIB


def test_the_image_they_are_made_from_is_valid(tmp_path: Path) -> None:
    image = ImageBuilder().save(tmp_path / "disk.qcow2")

    content = b"".join(bytes([0x41 + n]) * CLUSTER for n in range(3)) + bytes(GUEST_SIZE - 3 * CLUSTER)
    assert read_everything(image) == content * 2


@needs_qemu
def test_qemu_agrees_that_it_is_valid(tmp_path: Path) -> None:
    image = ImageBuilder().save(tmp_path / "disk.qcow2")

    assert_clean(image)
    assert guest_bytes(image) * 2 == read_everything(image)


def test_there_are_enough_of_them() -> None:
    assert len(VECTORS) >= 45
