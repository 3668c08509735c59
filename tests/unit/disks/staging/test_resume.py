from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from blixard import files
from blixard.disks.qcow2.layout import plan_layout
from blixard.disks.staging.staging import Staging
from blixard.limits import BLOCK_BYTES, CELL_BYTES, MIB
from blixard.model.structs import DiskFormat
from support.disks import mixed_disk
from support.staging import Image, content, data_record, document, feed, head_of, put_all, reference

FORMATS = [DiskFormat.RAW, DiskFormat.QCOW2]
K64 = BLOCK_BYTES


class Killed(BaseException):
    """Stands for kill -9 in the thread that meets it: nothing after it runs in the staging."""


def cut_off(folder: Path, images: list[Image], records: int, *, checkpoint_bytes: int = MIB) -> None:
    """Stage the first records of a document, let them become durable, and stop."""
    with Staging(folder, threads=2, checkpoint_bytes=checkpoint_bytes) as staging:
        for number, image in enumerate(images):
            staging.begin(number, image.head)
            put_all(staging, number, image.records[:records])
            staging.drain()
            if records < len(image.records):
                return
            records -= len(image.records)
            staging.end(number, image.head)


def resume(folder: Path, images: list[Image], *, heads_first: bool = True) -> tuple[list[bytes], int]:
    with Staging(folder, threads=2, resume=True) as staging:
        feed(staging, images, heads_first=heads_first)
        staged = staging.finish()
        return [content(staged[number]) for number in range(len(images))], staging.decoded


def carried(images: list[Image]) -> int:
    return sum(frame is not None for image in images for _, frame in image.records)


@pytest.mark.parametrize("disk_format", FORMATS)
def test_only_what_is_missing_is_decoded(tmp_path: Path, disk_format: DiskFormat) -> None:
    disks = [mixed_disk(1, 100), mixed_disk(2, 100)]
    images = document(disks, [disk_format] * 2)
    begun = len(images[0].records) + 4
    cut_off(tmp_path, images, begun)

    result, decoded = resume(tmp_path, images)

    done = [*images[0].records, *images[1].records][:begun]
    assert result == disks
    assert decoded == carried(images) - sum(frame is not None for _, frame in done)


@pytest.mark.parametrize("disk_format", FORMATS)
def test_a_finished_staging_is_taken_up_without_decoding_anything(tmp_path: Path, disk_format: DiskFormat) -> None:
    disks = [mixed_disk(3, 50)]
    images = document(disks, [disk_format])
    resume(tmp_path, images)

    assert resume(tmp_path, images) == (disks, 0)


def test_records_of_a_document_that_tells_sizes_last_are_taken_up(tmp_path: Path) -> None:
    disks = [mixed_disk(3, 50)]
    images = document(disks)
    with Staging(tmp_path, threads=2) as staging:
        staging.begin(0, None)
        put_all(staging, 0, images[0].records[:4])
        staging.drain()

    result, decoded = resume(tmp_path, images, heads_first=False)

    assert result == disks
    assert decoded == carried(images) - 4


def test_a_marked_record_whose_bytes_changed_is_decoded_again(tmp_path: Path) -> None:
    disks = [b"\1" * CELL_BYTES + b"\2" * CELL_BYTES]
    images = document(disks)
    resume(tmp_path, images)
    with (tmp_path / "0000000.raw").open("r+b") as file:
        file.seek(CELL_BYTES + 5)
        file.write(b"x")

    assert resume(tmp_path, images) == (disks, 1)


@pytest.mark.parametrize("disk_format", FORMATS)
def test_what_another_document_left_under_the_same_key_does_not_survive_in_a_hole(
    tmp_path: Path, disk_format: DiskFormat
) -> None:
    poison = Image(head_of(8 * MIB, format=disk_format), (data_record(0, b"\xee" * MIB * 8),))
    honest = b"".join([bytes(MIB), b"\1" * MIB, bytes(K64), b"\2" * K64, bytes(6 * MIB - 2 * K64)])
    cut_off(tmp_path, [poison], 2)
    [image] = document([honest], [disk_format])

    result, _ = resume(tmp_path, [Image(head_of(8 * MIB, format=disk_format), image.records)])

    assert result == [honest]


@pytest.mark.parametrize("spoil", [lambda text: text[:100], lambda _: b"", lambda text: b"x" + text[1:]])
def test_a_bitmap_that_is_not_one_means_starting_anew(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    disks = [mixed_disk(3, 50)]
    images = document(disks)
    resume(tmp_path, images)
    bitmap = tmp_path / "0000000.records"
    bitmap.write_bytes(spoil(bitmap.read_bytes()))

    assert resume(tmp_path, images) == (disks, carried(images))


def test_another_size_means_starting_anew(tmp_path: Path) -> None:
    resume(tmp_path, [Image(head_of(MIB), (data_record(0, b"abc"),))])

    result, decoded = resume(tmp_path, [Image(head_of(2 * MIB), (data_record(0, b"abc"),))])

    assert (len(result[0]), decoded) == (2 * MIB, 1)


def test_a_folder_that_was_copied_under_another_key_is_not_taken_up(tmp_path: Path) -> None:
    images = document([mixed_disk(3, 50)])
    (tmp_path / "one").mkdir()
    resume(tmp_path / "one", images)
    (tmp_path / "one").rename(tmp_path / "two")

    _, decoded = resume(tmp_path / "two", images)

    assert decoded == carried(images)


def test_without_resume_everything_is_made_anew(tmp_path: Path) -> None:
    images = document([mixed_disk(3, 50)])
    resume(tmp_path, images)

    with Staging(tmp_path, threads=1) as staging:
        feed(staging, images)
        staging.finish()

        assert staging.decoded == carried(images)


def test_data_is_synced_before_its_bit_is_written(tmp_path: Path) -> None:
    images = document([mixed_disk(5, 160)], [DiskFormat.QCOW2])
    seen: list[tuple[str, str]] = []
    with files.observe(lambda operation, path: seen.append((operation, os.path.splitext(path)[1]))):  # noqa: PTH122 - a name
        cut_off(tmp_path, images, len(images[0].records) - 1, checkpoint_bytes=MIB)

    bits = [at for at, event in enumerate(seen) if event == ("write", ".records")]
    assert len(bits) >= 2
    assert seen.count(("fdatasync", ".records")) == len(bits) - 1
    for before, at in pairwise(bits):  # the first write is the file's header
        assert ("fdatasync", ".qcow2") in seen[before:at]


@pytest.mark.parametrize("heads_first", [True, False])
@pytest.mark.parametrize("disk_format", FORMATS)
def test_a_kill_at_any_operation_leaves_what_a_later_run_completes(
    tmp_path: Path,
    disk_format: DiskFormat,
    heads_first: bool,  # noqa: FBT001 - a parameter
) -> None:
    disks = [mixed_disk(1, 24), b"\7" * CELL_BYTES + mixed_disk(1, 24)[CELL_BYTES:]]
    images = document(disks, [disk_format] * 2)
    operations = 0
    while True:
        folder = tmp_path / str(operations)
        killed = _killed_at(operations, folder, images, heads_first=heads_first)
        assert resume(folder, images, heads_first=heads_first)[0] == disks, f"killed at operation {operations}"
        if not killed:
            break
        operations += 1
    assert operations > 20


def _killed_at(operation: int, folder: Path, images: list[Image], *, heads_first: bool) -> bool:
    """Run a staging in which every operation from that one on fails, as for a dead process. True when it was met."""
    count = 0

    def kill(_operation: str, _path: str) -> None:
        nonlocal count
        count += 1
        if count > operation:
            raise Killed

    folder.mkdir()
    with files.observe(kill):
        try:
            with Staging(folder, threads=2, checkpoint_bytes=MIB) as staging:
                feed(staging, images, heads_first=heads_first)
                staging.finish()
        except Killed:
            return True
    return False


def test_bytes_that_are_there_without_the_entry_that_allocates_them_are_part_of_the_disk(tmp_path: Path) -> None:
    disks = [b"\1" * CELL_BYTES]
    images = document(disks, [DiskFormat.QCOW2])
    resume(tmp_path, images)
    path = tmp_path / "0000000.qcow2"
    with path.open("r+b") as file:
        file.seek(plan_layout(CELL_BYTES).l2_entry_offset(0))
        file.write(bytes(8))

    assert resume(tmp_path, images) == (disks, 0)


def test_a_reference_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    images = [Image(head_of(K64), (data_record(0, b"abc"), reference(100, 2, b"abc", 1)))]
    resume(tmp_path, images)
    writes: list[str] = []

    def note(operation: str, path: str) -> None:
        if operation == "write" and path.endswith(".raw"):
            writes.append(path)

    with files.observe(note):
        resume(tmp_path, images)

    assert writes == []


_DIES = """
import os, signal, sys
from pathlib import Path
from support.disks import mixed_disk
from support.staging import document, feed
from blixard import files
from blixard.disks.staging.staging import Staging
from blixard.model.structs import DiskFormat

images = document([mixed_disk(seed, 80) for seed in (1, 2)], [DiskFormat.QCOW2, DiskFormat.RAW])
left = int(sys.argv[2])

def count(operation, path):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with files.observe(count), Staging(Path(sys.argv[1]), threads=2, checkpoint_bytes=1 << 20) as staging:
    feed(staging, images)
    staging.finish()
"""


@pytest.mark.parametrize("operation", [1, 9, 25, 40])
def test_a_process_that_was_killed_left_what_the_next_one_completes(tmp_path: Path, operation: int) -> None:
    disks = [mixed_disk(seed, 80) for seed in (1, 2)]
    images = document(disks, [DiskFormat.QCOW2, DiskFormat.RAW])
    here = Path(__file__).parents[3]

    died = subprocess.run(
        [sys.executable, "-c", _DIES, tmp_path / "key", str(operation)],
        env={**os.environ, "PYTHONPATH": str(here)},
        check=False,
    )

    assert died.returncode == -signal.SIGKILL
    assert resume(tmp_path / "key", images)[0] == disks
