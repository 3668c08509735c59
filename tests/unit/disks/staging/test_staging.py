from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blixard import files
from blixard.disks.staging.staging import Staging
from blixard.errors import DigestMismatch, LimitExceeded, MalformedExport, StorageError
from blixard.limits import BLOCK_BYTES, CELL_BYTES, GIB, MIB, Limits
from blixard.model.structs import DiskFormat, Record
from support.descriptors import open_at
from support.disks import mixed_disk
from support.staging import Image, content, data_record, document, feed, head_of, put_all, reference, stage

QCOW2 = DiskFormat.QCOW2
K64 = BLOCK_BYTES


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def complete(staging: Staging, images: list[Image]) -> None:
    feed(staging, images)
    staging.finish()


def with_damage(image: Image, position: int) -> Image:
    records = list(image.records)
    record, frame = records[position]
    assert frame is not None
    records[position] = (Record(record.offset, record.length, b"\1" * 32, True), frame)
    return Image(image.head, tuple(records))


@pytest.mark.parametrize("heads_first", [True, False])
def test_disks_come_back_byte_for_byte_whenever_their_size_is_told(tmp_path: Path, heads_first: bool) -> None:  # noqa: FBT001 - a parameter
    disks = [mixed_disk(seed, 60) for seed in range(3)]

    staged = stage(tmp_path / "key", document(disks, [DiskFormat.RAW, QCOW2, QCOW2]), heads_first=heads_first)

    assert [content(staged[number]) for number in range(3)] == disks
    assert [staged[number].format for number in range(3)] == [DiskFormat.RAW, QCOW2, QCOW2]


def test_holes_stay_holes(tmp_path: Path) -> None:
    data = b"\1" * K64 + bytes(200 * MIB) + b"\2" * K64

    staged = stage(tmp_path / "key", document([data, data], [DiskFormat.RAW, QCOW2]))

    assert files.allocated_bytes(staged[0].path) <= 4 * K64
    assert files.allocated_bytes(staged[1].path) <= 12 * K64


@pytest.mark.parametrize("heads_first", [True, False])
def test_an_empty_disk_has_its_size(tmp_path: Path, heads_first: bool) -> None:  # noqa: FBT001 - a parameter
    images = [Image(head_of(20 * GIB), ()), Image(head_of(20 * GIB, "b", QCOW2), ())]

    staged = stage(tmp_path / "key", images, heads_first=heads_first)

    assert staged[0].path.stat().st_size == staged[0].size_bytes == 20 * GIB
    assert staged[1].size_bytes == 20 * GIB
    assert staged[1].data_bytes == 0


def test_a_staged_disk_says_what_it_is(tmp_path: Path) -> None:
    image = Image(head_of(2 * CELL_BYTES), (data_record(5, b"abc"), reference(9, 3, b"abc")))
    with Staging(tmp_path / "key", threads=1) as staging:
        staging.begin(7, image.head)
        put_all(staging, 7, image.records)
        staging.end(7, image.head, digest="ab" * 32)
        [(number, staged)] = staging.finish().items()

    assert (number, staged.size_bytes, staged.data_bytes, staged.digest) == (7, 2 * CELL_BYTES, 6, "ab" * 32)
    assert staged.path.parent == tmp_path / "key"
    assert staged.path.stat().st_mode & 0o777 == 0o600


def test_a_reference_reads_part_of_a_pack_and_of_a_record_of_another_disk(tmp_path: Path) -> None:
    pack, data = bytes(range(256)) * 64, b"0123456789" * 1000
    first = Image(head_of(K64), (data_record(100, data),))
    second = Image(
        head_of(K64, "b"), (data_record(None, pack), reference(0, 300, pack, 1000), reference(300, 5, data, 11))
    )

    staged = stage(tmp_path / "key", [first, second])

    assert content(staged[1])[:305] == pack[1000:1300] + data[11:16]


def test_references_to_more_finished_disks_than_stay_open_are_resolved(tmp_path: Path) -> None:
    pieces = [b"%5d" % number for number in range(100)]
    images = [Image(head_of(512, f"d{n}", QCOW2), (data_record(0, piece),)) for n, piece in enumerate(pieces)]
    last = Image(head_of(500, "last"), tuple(reference(5 * n, 5, piece) for n, piece in enumerate(pieces)))

    staged = stage(tmp_path / "key", [*images, last])

    assert content(staged[100]) == b"".join(pieces)


def test_a_reference_may_name_a_record_that_is_still_on_its_way(tmp_path: Path) -> None:
    data = b"\5" * 1000
    loading = threading.Event()

    def slowly(frame: bytes) -> Callable[[], bytes]:
        def load() -> bytes:
            assert loading.wait(30)
            return frame

        return load

    with Staging(tmp_path / "key", threads=2) as staging:
        staging.begin(0, head_of(K64))
        record, frame = data_record(0, data)
        staging.put(0, 0, record, slowly(frame))
        staging.put(0, 1, reference(1000, 1000, data)[0], None)
        loading.set()
        staging.end(0, head_of(K64))
        staged = staging.finish()

    assert content(staged[0])[:2000] == data * 2


def test_many_small_disks_on_a_slow_file_system_need_few_descriptors(tmp_path: Path) -> None:
    image = Image(head_of(512), (data_record(0, b"abc"),))
    slowness = threading.Event()
    most = 0

    def watch(operation: str, path: str) -> None:
        nonlocal most
        if operation == "create":
            most = max(most, len(open_at(tmp_path)))
        elif operation == "fsync":
            slowness.wait(0.003)

    with files.observe(watch):
        staged = stage(tmp_path / "key", [image] * 400)

    assert len(staged) == 400
    assert 0 < most < 200


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([reference(0, 3, b"abc")], "which no earlier record holds"),
        ([reference(0, 3, b"abc"), data_record(3, b"abc")], "which no earlier record holds"),
        ([data_record(0, b"abc"), reference(3, 3, b"abc", 1)], "refers to bytes up to `4` of a record of `3`"),
        ([data_record(0, b"abc"), data_record(2, b"xyz")], "overlaps"),
        ([data_record(9, b"abc"), data_record(0, b"xyz")], "overlaps"),
        ([data_record(K64 - 2, b"abc")], "past the disk's `65536`"),
    ],
)
def test_records_that_break_a_rule_are_malformed(
    tmp_path: Path, records: list[tuple[Record, bytes | None]], message: str
) -> None:
    with pytest.raises(MalformedExport, match=message):
        stage(tmp_path / "key", [Image(head_of(K64), tuple(records))])


def test_a_size_that_comes_last_must_cover_every_record(tmp_path: Path) -> None:
    with pytest.raises(MalformedExport, match="past the disk's `65536`"):
        stage(tmp_path / "key", [Image(head_of(K64), (data_record(K64 - 2, b"abc"),))], heads_first=False)


@pytest.mark.parametrize("heads_first", [True, False])
def test_a_disk_over_the_limit_is_refused(tmp_path: Path, heads_first: bool) -> None:  # noqa: FBT001 - a parameter
    image = Image(head_of(2 * MIB), (data_record(MIB, b"abc"),))

    with (
        Staging(tmp_path / "key", threads=1, limits=Limits(disk_bytes=MIB)) as staging,
        pytest.raises(LimitExceeded, match="disk_bytes"),
    ):
        feed(staging, [image], heads_first=heads_first)


def test_the_reserve_of_the_host_is_not_touched(tmp_path: Path) -> None:
    with (
        Staging(tmp_path / "key", threads=1, limits=Limits(space_reserve_bytes=1 << 60)) as staging,
        pytest.raises(StorageError, match="kept for the host"),
    ):
        complete(staging, [Image(head_of(K64), (data_record(0, b"abc"),))])


def test_damage_names_disk_offset_and_position(tmp_path: Path) -> None:
    [image] = document([b"\1" * 3 * CELL_BYTES + b"\2" * CELL_BYTES])

    with pytest.raises(DigestMismatch, match=rf"record `3` of disk `web-1/disk-0` at offset `{3 * CELL_BYTES}`"):
        stage(tmp_path / "key", [with_damage(image, 3)])


def test_the_first_of_several_damaged_records_is_named_whatever_the_threads(tmp_path: Path) -> None:
    [image] = document([b"".join(bytes([n + 1]) * CELL_BYTES for n in range(12))])
    for position in range(3, 12):
        image = with_damage(image, position)

    for attempt in range(5):
        with pytest.raises(DigestMismatch, match="record `3`"):
            stage(tmp_path / str(attempt), [image])


def test_bad_base64_is_damage_with_a_place(tmp_path: Path) -> None:
    def load() -> bytes:
        raise ValueError("Incorrect padding")

    with Staging(tmp_path / "key", threads=1) as staging:
        staging.begin(0, head_of(K64))
        staging.put(0, 0, data_record(0, b"abc")[0], load)
        staging.end(0, head_of(K64))
        with pytest.raises(MalformedExport, match=r"record `0` of disk `web-1/root`.*Incorrect padding"):
            staging.finish()


def test_skipped_damage_costs_its_disk_and_those_that_refer_to_it_only(tmp_path: Path) -> None:
    good, bad = b"\1" * CELL_BYTES, b"\2" * CELL_BYTES
    record, frame = data_record(CELL_BYTES, bad)
    images = [
        Image(head_of(4 * MIB, "a"), (data_record(0, good), (record, frame[:-2]))),
        Image(head_of(4 * MIB, "b"), (reference(0, CELL_BYTES, bad),)),
        Image(head_of(4 * MIB, "c"), (reference(0, CELL_BYTES, good),)),
    ]
    with Staging(tmp_path / "key", threads=2, skip_damaged=True) as staging:
        feed(staging, images)
        staged = staging.finish()

        assert staging.damaged == {0, 1}
        assert list(staged) == [2]
    assert content(staged[2])[:CELL_BYTES] == good
    assert [path.name for path in (tmp_path / "key").iterdir() if path.name.startswith(("0000000", "0000001"))] == []


def test_a_second_good_copy_serves_references_after_a_damaged_first(tmp_path: Path) -> None:
    data = b"\3" * 5000
    record, frame = data_record(0, data)
    images = [
        Image(head_of(K64, "a"), ((record, frame[:-1]),)),
        Image(head_of(K64, "b"), (data_record(0, data), reference(K64 // 2, 5000, data))),
    ]
    with Staging(tmp_path / "key", threads=2, skip_damaged=True) as staging:
        feed(staging, images)
        staged = staging.finish()

    assert content(staged[1])[K64 // 2 :][:5000] == data


def test_an_image_nobody_names_serves_references_and_is_dropped(tmp_path: Path) -> None:
    disk = mixed_disk(1, 20)
    with Staging(tmp_path / "key", threads=2, want=lambda image: image == 1) as staging:
        feed(staging, document([disk, disk], [QCOW2, QCOW2]), heads_first=False)
        staged = staging.finish()

    assert list(staged) == [1]
    assert content(staged[1]) == disk
    assert sorted(path.suffix for path in (tmp_path / "key").iterdir()) == [".qcow2"]


def test_a_failing_write_is_raised_and_ends_every_thread(tmp_path: Path) -> None:
    def fail(operation: str, path: str) -> None:
        if operation == "write" and path.endswith(".raw"):
            raise OSError(28, "no space")

    with (
        files.observe(fail),
        Staging(tmp_path / "key", threads=2) as staging,
        pytest.raises(StorageError, match="no space left"),
    ):
        complete(staging, document([mixed_disk(1, 200)]))


def test_a_failing_sync_is_raised(tmp_path: Path) -> None:
    def fail(operation: str, path: str) -> None:
        if operation == "fsync" and path.endswith(".raw"):
            raise OSError(5, "I/O error")

    with files.observe(fail), Staging(tmp_path / "key", threads=2) as staging:
        feed(staging, document([mixed_disk(1, 20)]))
        with pytest.raises(StorageError, match="input/output error"):
            staging.finish()
