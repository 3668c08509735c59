from __future__ import annotations

from pathlib import Path

import pytest

from blixard import files
from blixard.disks.staging.staging import Staging
from blixard.errors import DigestMismatch
from blixard.limits import MIB
from blixard.model.structs import Record
from support.disks import mixed_disk
from support.staging import Image, content, document, feed


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + b"changed" + data[at + 7 :]


def needed_by(images: list[Image], wanted: int) -> set[bytes]:
    return {record.digest for record, frame in images[wanted].records if frame is None}


def staged_part(folder: Path, images: list[Image], wanted: int, *, skip_damaged: bool = False) -> tuple[bytes, int]:
    """The one wanted disk, and the bytes that the folder took while the other was kept aside."""
    needed = needed_by(images, wanted)
    with Staging(
        folder, threads=2, want=lambda image: image == wanted, needed=needed.__contains__, skip_damaged=skip_damaged
    ) as staging:
        feed(staging, images)
        disks = staging.finish()
        assert list(disks) == [wanted]
        return content(disks[wanted]), sum(files.allocated_bytes(path) for path in folder.iterdir())


def test_a_disk_comes_whole_out_of_records_of_one_that_stays_out(tmp_path: Path) -> None:
    first = mixed_disk(1, 60)
    second = changed(first, 5)

    disk, _ = staged_part(tmp_path / "key", document([first, second]), 1)

    assert disk == second


def test_of_a_disk_that_stays_out_nothing_is_left(tmp_path: Path) -> None:
    big, small = mixed_disk(1, 60), b"\1" * MIB

    disk, taken = staged_part(tmp_path / "key", document([big, small]), 1)

    assert disk == small
    assert taken <= 2 * MIB


def test_a_disk_that_stays_out_is_checked_all_the_same(tmp_path: Path) -> None:
    images = document([mixed_disk(1, 60), b"\1" * MIB])
    damaged = with_wrong_digest(images[0])

    with pytest.raises(DigestMismatch):
        staged_part(tmp_path / "key", [damaged, images[1]], 1)


def test_damage_in_a_disk_that_stays_out_costs_the_others_nothing_when_damage_is_skipped(tmp_path: Path) -> None:
    images = document([mixed_disk(1, 60), b"\1" * MIB])
    damaged = with_wrong_digest(images[0])

    disk, _ = staged_part(tmp_path / "key", [damaged, images[1]], 1, skip_damaged=True)

    assert disk == b"\1" * MIB


def with_wrong_digest(image: Image) -> Image:
    (record, frame), *rest = image.records
    return Image(image.head, ((Record(record.offset, record.length, bytes(32), True), frame), *rest))
