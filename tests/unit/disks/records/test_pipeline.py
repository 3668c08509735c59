from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from blake3 import blake3

from blixard.disks.records.dedup import DigestTable
from blixard.disks.records.frames import open_frame
from blixard.disks.records.pipeline import Chunk, RecordPipeline
from blixard.errors import InternalError, StorageError
from blixard.limits import BLOCK_BYTES, CELL_BYTES, TIB
from blixard.model.structs import Record
from support.disks import MemoryDisk, SparseDisk, mixed_disk


def encode(record: Record, frame: bytes | memoryview | None) -> tuple[bytes, ...]:
    return (repr((record.offset, record.length, record.carries, len(frame or b""))).encode(),)


def ignore(amount: int) -> None:
    pass


def export(disks: list[MemoryDisk], threads: int = 2, advance: Callable[[int], None] = ignore) -> list[list[Chunk]]:
    with RecordPipeline(threads, DigestTable()) as pipeline:
        return [list(pipeline.records(disk, encode, advance)) for disk in disks]


def offsets(chunks: Iterator[Chunk]) -> Iterator[int | None]:
    return (chunk.record.offset for chunk in chunks)


def rebuild(chunks: list[list[Chunk]], sizes: list[int]) -> list[bytes]:
    seen: dict[bytes, bytes] = {}
    disks = [bytearray(size) for size in sizes]
    for disk, records in zip(disks, chunks, strict=True):
        for chunk in records:
            record = chunk.record
            assert record.offset is not None
            if chunk.frame is not None:
                assert record.digest not in seen, "data carried twice"
                seen[record.digest] = open_frame(chunk.frame, record.length)
                assert blake3(seen[record.digest]).digest() == record.digest
            disk[record.offset : record.offset + record.length] = seen[record.digest]
    return [bytes(disk) for disk in disks]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> object:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_records_give_the_disks_back() -> None:
    data = [mixed_disk(seed, 100, tail_bytes=seed * 1000) for seed in range(3)]

    assert rebuild(export([MemoryDisk(disk) for disk in data]), [len(disk) for disk in data]) == data


@pytest.mark.parametrize("threads", [2, 4, 9])
def test_any_number_of_threads_gives_the_same_records(threads: int) -> None:
    disks = [MemoryDisk(mixed_disk(seed, 150, tail_bytes=7)) for seed in range(3)]

    assert export(disks, threads) == export(disks, 1)


def test_an_area_of_allocated_zeros_is_cut_as_a_hole_is() -> None:
    data = mixed_disk(5, 64)
    blocks = [at for at in range(0, len(data), BLOCK_BYTES) if any(data[at : at + BLOCK_BYTES])]
    holes = MemoryDisk(data, [(at + 10, BLOCK_BYTES - 20) for at in blocks])

    assert export([holes]) == export([MemoryDisk(data)])
    assert holes.read_bytes < len(data)


def test_the_first_holder_in_document_order_carries_the_data() -> None:
    block = b"\7" * CELL_BYTES
    records = [chunk.record for disk in export([MemoryDisk(block * 3), MemoryDisk(block)], 4) for chunk in disk]

    assert [record.carries for record in records] == [True, False, False, False]


def test_a_tebibyte_of_hole_costs_nothing() -> None:
    disk = SparseDisk(TIB, TIB // 2, b"\1" * 10)
    begun = time.monotonic()

    [chunks] = export([disk])

    assert [(chunk.record.offset, chunk.record.length) for chunk in chunks] == [(TIB // 2, BLOCK_BYTES)]
    assert disk.read_bytes == BLOCK_BYTES
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("size", [0, 1, CELL_BYTES, CELL_BYTES * 3 + 17])
def test_progress_adds_up_to_the_size_of_the_disk(size: int) -> None:
    told: list[int] = []

    export([MemoryDisk(mixed_disk(1, size // BLOCK_BYTES + 1)[:size])], advance=told.append)

    assert sum(told) == size
    assert min(told) >= 0


def test_a_read_error_comes_after_every_record_before_it() -> None:
    data = b"\1\2" * (CELL_BYTES * 10)
    given: list[int | None] = []
    with RecordPipeline(2, DigestTable()) as pipeline:
        with pytest.raises(StorageError, match=str(CELL_BYTES * 9 + 5)):
            given.extend(offsets(pipeline.records(MemoryDisk(data, fails_at=CELL_BYTES * 9 + 5), encode, ignore)))

        assert given == [CELL_BYTES * n for n in range(9)]


def test_after_a_read_error_the_other_disks_go_on() -> None:
    data = mixed_disk(3, 64)
    with RecordPipeline(2, DigestTable()) as pipeline:
        with pytest.raises(StorageError):
            list(pipeline.records(MemoryDisk(b"\1" * CELL_BYTES, fails_at=0), encode, ignore))

        chunks = list(pipeline.records(MemoryDisk(data), encode, ignore))

    assert rebuild([chunks], [len(data)]) == [data]


def test_an_error_of_encode_reaches_the_caller_in_its_turn() -> None:
    def fails(record: Record, _frame: bytes | memoryview | None) -> tuple[bytes, ...]:
        if record.offset == 2 * CELL_BYTES:
            raise ValueError("encode")
        return ()

    given: list[int | None] = []
    with RecordPipeline(4, DigestTable()) as pipeline, pytest.raises(ValueError, match="encode"):
        given.extend(offsets(pipeline.records(MemoryDisk(b"\1" * 20 * CELL_BYTES), fails, ignore)))

    assert given == [0, CELL_BYTES]


def test_a_closed_generator_leaves_no_reading_thread() -> None:
    with RecordPipeline(2, DigestTable()) as pipeline:
        records = pipeline.records(MemoryDisk(b"\1" * 50 * CELL_BYTES), encode, ignore)
        next(records)
        records.close()  # type: ignore[attr-defined]

        assert not [thread for thread in threading.enumerate() if thread.name == "record-reader"]


def test_a_pipeline_left_in_the_middle_of_a_disk_ends_its_threads() -> None:
    with RecordPipeline(2, DigestTable()) as pipeline:
        records = pipeline.records(MemoryDisk(b"\1" * 50 * CELL_BYTES), encode, ignore)
        next(records)


def test_a_pipeline_whose_records_were_left_unread_is_not_used_again() -> None:
    with RecordPipeline(1, DigestTable()) as pipeline:
        next(pipeline.records(MemoryDisk(b"\1" * 5 * CELL_BYTES), encode, ignore))

        with pytest.raises(InternalError):
            next(pipeline.records(MemoryDisk(b"\1"), encode, ignore))


def test_no_more_cells_are_read_ahead_than_there_are_buffers() -> None:
    disk = MemoryDisk(b"\1" * 100 * CELL_BYTES)
    encoded = threading.Semaphore(0)

    def counted(record: Record, frame: bytes | memoryview | None) -> tuple[bytes, ...]:
        encoded.release()
        return encode(record, frame)

    with RecordPipeline(2, DigestTable()) as pipeline:
        records = pipeline.records(disk, counted, ignore)
        next(records)
        for _ in range(7):
            assert encoded.acquire(timeout=30)  # every buffer is filled and waits for the caller

        assert disk.read_bytes <= 8 * CELL_BYTES
