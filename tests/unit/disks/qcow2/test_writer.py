"""Our qcow2 images: clean for QEMU, sparse, deterministic, resumable after a kill at any moment."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from blixard import files
from blixard.disks.detect import open_reader, open_writer
from blixard.disks.qcow2.layout import BLOCK_ENTRIES, CLUSTER_BYTES, L2_ENTRIES, plan_layout
from blixard.disks.qcow2.writer import Qcow2Writer
from blixard.errors import InternalError, MalformedExport, StorageError
from blixard.model.structs import DiskFormat
from support.descriptors import no_descriptor_left
from support.disk_conformance import read_all, read_extents
from support.qemu import assert_clean, check_report, guest_bytes, needs_qemu, qemu_img, qemu_io

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
SIZE = 3 * GIB + 512
WRITES = {0: b"boot" * 128, GIB - 3: b"across L2 tables" * 5000, SIZE - 512: b"last" * 128}


def written(path: Path, size: int = SIZE, writes: dict[int, bytes] | None = None) -> Path:
    with Qcow2Writer(path, size) as writer:
        for offset, data in (WRITES if writes is None else writes).items():
            writer.write(offset, data)
        writer.finish()
    return path


def holds(path: Path, writes: dict[int, bytes]) -> bool:
    with open_reader(path) as reader:
        for offset, data in writes.items():
            buffer = bytearray(len(data))
            reader.read_into(offset, memoryview(buffer))
            if buffer != data:
                return False
    return True


def is_image(path: Path) -> bool:
    with open_reader(path) as reader:
        return reader.format is DiskFormat.QCOW2


@needs_qemu
@pytest.mark.parametrize(
    "size",
    [0, 512, CLUSTER_BYTES, CLUSTER_BYTES + 512, 512 * MIB, 512 * MIB + 512, 2 * GIB, 5 * GIB, 300 * GIB, 4 * TIB],
)
def test_any_size_is_clean_for_qemu_with_its_last_sector_written(size: int, tmp_path: Path) -> None:
    writes = {size - 512: b"z" * 512, size // 3: b"third"} if size > 512 else {}
    image = written(tmp_path / "disk", size, writes)

    assert_clean(image)
    assert holds(image, writes)
    assert json.loads(qemu_img("info", "--output=json", image))["virtual-size"] == size


@needs_qemu
def test_only_clusters_that_were_written_are_allocated(tmp_path: Path) -> None:
    image = written(tmp_path / "disk")

    assert check_report(image)["allocated-clusters"] == 1 + 3 + 1
    assert image.stat().st_blocks * 512 < 2 * MIB


@needs_qemu
def test_qemu_can_go_on_with_the_image(tmp_path: Path) -> None:
    image = written(tmp_path / "disk", 64 * MIB, {0: b"a" * MIB, 63 * MIB: b"b" * MIB})

    qemu_io(image, "write -P 1 10M 5M", "write -P 2 512k 1M", "discard 63M 512k", "write -z 0 64k")
    qemu_img("snapshot", "-c", "later", image)
    qemu_io(image, "write -P 3 0 2M", "write -P 4 40M 64k")
    qemu_img("resize", "-q", image, "3G")
    qemu_io(image, "write -P 5 2G 64k")

    assert_clean(image)
    with open_reader(image) as reader:
        data = bytearray(64 * MIB)
        reader.read_into(0, memoryview(data))
    assert data[: 2 * MIB] == b"\3" * (2 * MIB)
    assert data[10 * MIB : 15 * MIB] == b"\1" * (5 * MIB)
    assert data[63 * MIB :] == bytes(MIB // 2) + b"b" * (MIB // 2)
    assert holds(image, {2 * GIB: b"\5" * 65536})


@needs_qemu
def test_qemu_can_stand_an_overlay_on_it_and_commit(tmp_path: Path) -> None:
    image, overlay = written(tmp_path / "disk", 64 * MIB, {0: b"a" * MIB}), tmp_path / "over"
    qemu_img("create", "-q", "-f", "qcow2", "-b", "disk", "-F", "qcow2", overlay)
    qemu_io(overlay, "write -P 7 512k 1M")
    qemu_img("commit", "-q", overlay)

    assert_clean(image)
    assert holds(image, {0: b"a" * (MIB // 2) + b"\7" * MIB})


def test_order_and_threads_leave_no_trace(tmp_path: Path) -> None:
    one = written(tmp_path / "one")
    two = written(tmp_path / "two", writes=dict(reversed(WRITES.items())))

    pieces = [path.open("rb") for path in (one, two)]
    with pieces[0], pieces[1]:
        for at in (*range(0, MIB, 64 << 10), GIB, SIZE):
            assert len({os.pread(piece.fileno(), 64 << 10, at) for piece in pieces}) == 1
    assert one.stat().st_size == two.stat().st_size


def test_a_new_image_is_private_and_never_written_over_another_file(tmp_path: Path) -> None:
    image = written(tmp_path / "disk")

    assert image.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StorageError, match="cannot create"):
        Qcow2Writer(image, SIZE)


def test_a_size_that_is_not_whole_sectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedExport, match="whole sectors"):
        open_writer(tmp_path / "disk", DiskFormat.QCOW2, 1000)
    assert not (tmp_path / "disk").exists()


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedExport, match="size"):
        open_writer(tmp_path / "disk", DiskFormat.QCOW2, None)


def test_a_write_beyond_the_end_is_our_bug(tmp_path: Path) -> None:
    with Qcow2Writer(tmp_path / "disk", 1024) as writer, pytest.raises(InternalError):
        writer.write(1000, bytes(25))


def test_another_size_than_it_was_laid_out_for_is_our_bug(tmp_path: Path) -> None:
    with Qcow2Writer(tmp_path / "disk", 1024) as writer, pytest.raises(InternalError, match="laid out for"):
        writer.resize(2048)


def test_it_is_no_image_before_the_finish(tmp_path: Path) -> None:
    with Qcow2Writer(tmp_path / "disk", MIB) as writer:
        writer.write(0, b"x" * MIB)
        writer.sync()

    assert not is_image(tmp_path / "disk")


@needs_qemu
def test_a_killed_writer_is_resumed(tmp_path: Path) -> None:
    with Qcow2Writer(tmp_path / "disk", SIZE) as first:
        first.write(0, WRITES[0])
    with Qcow2Writer(tmp_path / "disk", SIZE, resume=True) as second:
        second.mark(0, 512)
        for offset, data in list(WRITES.items())[1:]:
            second.write(offset, data)
        second.finish()

    assert_clean(tmp_path / "disk")
    assert holds(tmp_path / "disk", WRITES)


@needs_qemu
def test_a_finished_image_that_is_resumed_is_no_image_until_it_is_finished_again(tmp_path: Path) -> None:
    image = written(tmp_path / "disk")
    with Qcow2Writer(image, SIZE, resume=True) as writer:
        assert not is_image(image)
        writer.discard(0, SIZE)
        writer.write(5 * MIB, b"new")
        writer.finish()

    assert_clean(image)
    assert check_report(image)["allocated-clusters"] == 1
    assert holds(image, {0: bytes(512), 5 * MIB: b"new", GIB: bytes(1000)})


@needs_qemu
def test_l2_entries_that_power_loss_tore_are_made_good(tmp_path: Path) -> None:
    layout = plan_layout(SIZE)
    with Qcow2Writer(tmp_path / "disk", SIZE) as writer:
        writer.write(0, b"x" * MIB)
        with (tmp_path / "disk").open("r+b") as file:
            file.seek(layout.l2_entry_offset(3))
            file.write(os.urandom(8) + b"\1" * 8)
        writer.finish()

    assert_clean(tmp_path / "disk")
    assert holds(tmp_path / "disk", {0: b"x" * MIB})


def test_a_failure_at_any_operation_can_be_resumed(tmp_path: Path) -> None:
    operations: list[str] = []
    with files.observe(lambda operation, _path: operations.append(operation)):
        written(tmp_path / "disk")

    for number in range(1, len(operations)):
        path = tmp_path / f"disk{number}"
        with files.observe(failing_at(number)), pytest.raises(StorageError):
            written(path)
        complete = number == len(operations) - 1  # the last fsync failed: the header stands, but nobody was told
        assert is_image(path) is complete
        with Qcow2Writer(path, SIZE, resume=True) as writer:
            for offset, data in WRITES.items():
                writer.write(offset, data)
            writer.finish()
        assert holds(path, WRITES)
    assert operations[-3:] == ["fdatasync", "write", "fsync"]


def test_an_image_that_cannot_be_resumed_leaves_no_descriptor_open(tmp_path: Path) -> None:
    image = written(tmp_path / "disk")

    with (
        no_descriptor_left(tmp_path),
        files.observe(failing_at(0)),
        pytest.raises(StorageError, match="punch a hole"),
    ):
        Qcow2Writer(image, SIZE, resume=True)


def failing_at(number: int) -> files.seam.Observer:
    """An observer that fails operation `number` for want of space."""
    seen = iter(range(1 << 30))

    def observe(_operation: str, _path: str) -> None:
        if next(seen) == number:
            raise OSError(errno.ENOSPC, "no space")

    return observe


def test_memory_does_not_grow_with_the_size_of_the_disk(tmp_path: Path) -> None:
    size = 8 * TIB
    with Qcow2Writer(tmp_path / "disk", size) as writer:
        tracemalloc.start()
        for offset in range(0, size, size // 64):
            writer.write(offset, b"here")
        writer.finish()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 8 * MIB
    with open_reader(tmp_path / "disk") as reader:
        assert sum(1 for _ in reader.extents()) == 64


@pytest.mark.parametrize("size", [0, 512, GIB, 3 * TIB, 64 * TIB])
def test_the_layout_has_room_for_everything_and_no_overlap(size: int) -> None:
    layout = plan_layout(size)

    starts = [
        layout.refcount_table_offset,
        layout.l1_offset,
        layout.blocks_offset,
        layout.l2_offset,
        layout.data_offset,
    ]
    assert starts == sorted(starts)
    assert all(start % CLUSTER_BYTES == 0 for start in starts)
    assert layout.l2_tables * L2_ENTRIES >= layout.data_clusters >= size / CLUSTER_BYTES
    assert layout.blocks_offset - layout.l1_offset >= layout.l2_tables * 8
    assert layout.l1_offset - layout.refcount_table_offset >= layout.blocks * 8
    assert layout.data_offset - layout.l2_offset == layout.l2_tables * CLUSTER_BYTES
    assert layout.blocks * BLOCK_ENTRIES * CLUSTER_BYTES >= layout.data_offset + size


@needs_qemu
def test_what_we_write_is_what_qemu_and_we_read(tmp_path: Path) -> None:
    writes = {at: bytes([1 + at % 251]) * 5000 for at in range(0, 5 * MIB, 77_777)}
    image = written(tmp_path / "disk", 6 * MIB, writes)

    expected = guest_bytes(image)
    with open_reader(image) as reader:
        assert read_all(reader) == read_extents(reader) == expected
    assert all(expected[at : at + 5000] == data for at, data in writes.items())
