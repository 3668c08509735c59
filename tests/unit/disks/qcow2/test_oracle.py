"""Our reader against QEMU's own, on every shape of image that QEMU makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blixard.disks.detect import open_reader
from blixard.disks.qcow2.reader import Qcow2Reader
from blixard.model.structs import DiskFormat
from support.disk_conformance import read_all, read_extents
from support.qcow2_shapes import SHAPES, created, img, io
from support.qemu import guest_bytes, needs_qemu, qemu_img

pytestmark = needs_qemu
SMALL = [name for name in SHAPES if "TiB" not in name]


@contextmanager
def opened(image: Path) -> Iterator[Qcow2Reader]:
    with open_reader(image, DiskFormat.QCOW2) as reader:
        assert isinstance(reader, Qcow2Reader)
        yield reader


@pytest.mark.parametrize("shape", SMALL)
def test_the_guest_sees_what_qemu_shows(shape: str, tmp_path: Path) -> None:
    image = SHAPES[shape](tmp_path)
    expected = guest_bytes(image)

    with opened(image) as reader:
        assert read_all(reader) == expected
        assert read_extents(reader) == expected
        assert sum(extent.length for extent in reader.extents()) <= data_bytes(image)


def data_bytes(image: Path) -> int:
    """What QEMU says is neither zero nor a hole, in bytes."""
    parts = json.loads(qemu_img("map", "-f", "qcow2", "--output=json", image))
    return sum(part["length"] for part in parts if part["data"] and not part["zero"])


def test_a_terabyte_of_hole_costs_nothing(tmp_path: Path) -> None:
    image = SHAPES["1 TiB, a little at its end"](tmp_path)

    with opened(image) as reader:
        extents = [(extent.offset, extent.length) for extent in reader.extents()]
        buffer = bytearray(extents[0][1])
        reader.read_into(extents[0][0], memoryview(buffer))

    assert extents == [(1023 << 30, 65536)]
    assert buffer == b"\x31" * 65536


def test_preallocated_metadata_is_not_data(tmp_path: Path) -> None:
    image = created("preallocation=metadata", 64 << 20, ("write -P 1 8M 64k",))(tmp_path)

    with opened(image) as reader:
        assert sum(extent.length for extent in reader.extents()) <= 128 << 10


def test_snapshots_are_counted_and_named(tmp_path: Path) -> None:
    with opened(SHAPES["three snapshots"](tmp_path)) as reader:
        names = [(snapshot.id, snapshot.name) for snapshot in reader.snapshots]

    assert names == [("1", "one"), ("2", "zwei"), ("3", "drei, mit Umlaut ä")]


def test_an_image_left_dirty_really_was(tmp_path: Path) -> None:
    image = SHAPES["lazy refcounts left dirty"](tmp_path)

    assert image.read_bytes()[72:80] == (1).to_bytes(8, "big")


@pytest.mark.parametrize("shape", ["lazy refcounts", "bitmap", "zlib", "extended L2, clusters of 65536"])
def test_a_detected_image_without_backing_file_needs_no_format(shape: str, tmp_path: Path) -> None:
    image = SHAPES[shape](tmp_path)

    with open_reader(image) as reader:
        assert reader.format is DiskFormat.QCOW2


def test_writing_to_an_image_is_noticed(tmp_path: Path) -> None:
    image = SHAPES["qcow2 below"](tmp_path)
    base = next(tmp_path.glob("base*"))

    with opened(image) as reader:
        assert not reader.changed()
        io("write -P 0x99 0 512")(base)
        assert reader.changed()


def test_the_image_is_resized_under_the_reader(tmp_path: Path) -> None:
    image = created(writes=("write -P 5 0 64k",))(tmp_path)

    with opened(image) as reader:
        size = reader.size_bytes
        img("resize", "-q", after=("9M",))(image)
        io("write -P 0x22 8M 64k", "write -P 0x23 2M 64k")(image)

        assert reader.size_bytes == size
        assert len(read_all(reader)) == size
        assert reader.changed()
