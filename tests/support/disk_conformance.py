"""What every DiskReader and DiskWriter must do; an adapter's test class inherits the tests and makes one."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from blixard.disks.detect import open_reader
from blixard.limits import KIB, MIB
from blixard.model.structs import DiskFormat
from blixard.ports import DiskReader, DiskWriter

SIZE = 6 * MIB + 512
PIECES = {
    0: b"\x01",
    4096: random.Random(1).randbytes(4096),
    64 * KIB - 7: b"across a cluster's end",
    MIB: random.Random(2).randbytes(300 * KIB),
    3 * MIB + 512: b"x" * 512,
    SIZE - 512: b"\xff" * 512,
}
"""Guest bytes by offset; what lies between is never written, the middle of it more than a MiB wide."""
NEVER_WRITTEN = (2 * MIB, 3 * MIB)
"""Far enough from all data to be a hole whatever the block or cluster size up to 512 KiB."""


def whole(size: int = SIZE, pieces: dict[int, bytes] | None = None) -> bytes:
    """The disk's content."""
    data = bytearray(size)
    for offset, piece in (PIECES if pieces is None else pieces).items():
        data[offset : offset + len(piece)] = piece
    return bytes(data)


def read_all(reader: DiskReader) -> bytes:
    """The guest's view, read in odd steps."""
    data = bytearray(reader.size_bytes)
    view = memoryview(data)
    for at in range(0, len(data), 250_001):
        reader.read_into(at, view[at : at + 250_001])
    return bytes(data)


def read_extents(reader: DiskReader) -> bytes:
    """The guest's view as an export takes it: extents read, the rest zeros. Checks order and bounds on the way."""
    data = bytearray(reader.size_bytes)
    end = 0
    for extent in reader.extents():
        assert extent.length > 0
        assert extent.offset >= end
        end = extent.offset + extent.length
        assert end <= len(data)
        reader.read_into(extent.offset, memoryview(data)[extent.offset : end])
    return bytes(data)


class ReaderConformance:
    """Inherit as `class TestX(ReaderConformance)`, and make a reader of `whole()`."""

    disk_format: ClassVar[DiskFormat] = DiskFormat.RAW

    def make(self, folder: Path) -> DiskReader:
        raise NotImplementedError

    @pytest.fixture
    def reader(self, tmp_path: Path) -> Iterator[DiskReader]:
        reader = self.make(tmp_path)
        yield reader
        reader.close()

    def test_it_tells_size_and_format(self, reader: DiskReader) -> None:
        assert (reader.size_bytes, reader.format) == (SIZE, self.disk_format)

    def test_the_whole_content_is_read(self, reader: DiskReader) -> None:
        assert read_all(reader) == whole()

    def test_extents_hold_every_byte_that_is_not_zero(self, reader: DiskReader) -> None:
        assert read_extents(reader) == whole()

    def test_extents_may_be_asked_for_again(self, reader: DiskReader) -> None:
        assert list(reader.extents()) == list(reader.extents())

    def test_extents_skip_what_was_never_written(self, reader: DiskReader) -> None:
        start, end = NEVER_WRITTEN

        inside = [e for e in reader.extents() if e.offset < end and e.offset + e.length > start]
        assert not inside

    def test_any_range_is_read(self, reader: DiskReader) -> None:
        content, rng = whole(), random.Random(3)
        for _ in range(200):
            start = rng.choice([*PIECES, rng.randrange(SIZE)]) - rng.choice([0, 0, 1, 511])
            start = max(0, start)
            buffer = bytearray(min(rng.choice([0, 1, 512, 5000, 70_000]), SIZE - start))

            reader.read_into(start, memoryview(buffer))

            assert buffer == content[start : start + len(buffer)]

    def test_a_used_buffer_is_filled_with_zeros_too(self, reader: DiskReader) -> None:
        buffer = bytearray(b"\xee" * MIB)

        reader.read_into(NEVER_WRITTEN[0], memoryview(buffer))

        assert not any(buffer)

    def test_many_threads_may_read_at_once(self, reader: DiskReader) -> None:
        content = whole()

        def read(seed: int) -> bool:
            rng = random.Random(seed)
            start = rng.randrange(SIZE - 80_000)
            buffer = bytearray(80_000)
            reader.read_into(start, memoryview(buffer))
            return buffer == content[start : start + len(buffer)]

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(read, range(200)))

    def test_a_disk_that_nobody_wrote_to_has_not_changed(self, reader: DiskReader) -> None:
        read_all(reader)

        assert not reader.changed()

    def test_a_write_to_the_lowest_of_its_files_is_noticed(self, reader: DiskReader) -> None:
        for path in reader.files[-1:]:
            os.utime(path, ns=(0, 0))

        assert reader.changed() is bool(reader.files)

    def test_its_files_are_there_each_once(self, reader: DiskReader) -> None:
        assert all(path.is_file() for path in reader.files)
        assert len(set(reader.files)) == len(reader.files)

    def test_a_copy_of_its_only_file_is_the_disk(self, reader: DiskReader, tmp_path: Path) -> None:
        for path in reader.files if len(reader.files) == 1 else ():
            shutil.copy(path, tmp_path / "copy")
            copy = open_reader(tmp_path / "copy", reader.format)
            assert read_all(copy) == whole()
            copy.close()

    def test_an_image_without_earlier_states_tells_none(self, reader: DiskReader) -> None:
        assert len(reader.snapshots) == 0

    def test_closing_twice_is_harmless(self, reader: DiskReader) -> None:
        reader.close()
        reader.close()


class WriterConformance:
    """Inherit as `class TestX(WriterConformance)`: make a writer of a size, and read what it made by other means."""

    def make(self, folder: Path, size_bytes: int) -> DiskWriter:
        raise NotImplementedError

    def content(self, folder: Path) -> bytes:
        """The guest's view of the disk made last, finished and closed."""
        raise NotImplementedError

    @pytest.fixture
    def writer(self, tmp_path: Path) -> Iterator[DiskWriter]:
        writer = self.make(tmp_path, SIZE)
        yield writer
        writer.close()

    def finished(self, folder: Path, writer: DiskWriter) -> bytes:
        writer.finish()
        writer.close()
        return self.content(folder)

    def test_what_was_written_is_there_and_the_rest_is_zeros(self, writer: DiskWriter, tmp_path: Path) -> None:
        for offset, piece in PIECES.items():
            writer.write(offset, piece)

        assert self.finished(tmp_path, writer) == whole()

    def test_a_disk_without_any_write_is_zeros(self, writer: DiskWriter, tmp_path: Path) -> None:
        assert self.finished(tmp_path, writer) == bytes(SIZE)

    def test_an_empty_disk_can_be_made(self, tmp_path: Path) -> None:
        assert self.finished(tmp_path, self.make(tmp_path, 0)) == b""

    def test_order_does_not_matter_and_the_last_write_wins(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(64 * KIB, b"late" * 100)
        writer.write(0, b"early" * 20_000)
        writer.write(65_000, b"LAST" * 300)

        expected = whole(pieces={64 * KIB: b"late" * 100, 0: b"early" * 20_000})
        assert self.finished(tmp_path, writer) == expected[:65_000] + b"LAST" * 300 + expected[66_200:]

    def test_a_memoryview_is_as_good_as_bytes(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(100, memoryview(bytearray(b"0123456789"))[2:5])

        assert self.finished(tmp_path, writer) == whole(pieces={100: b"234"})

    def test_a_write_of_nothing_does_nothing(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(SIZE, b"")

        assert self.finished(tmp_path, writer) == bytes(SIZE)

    def test_written_bytes_are_read_back_before_the_finish(self, writer: DiskWriter) -> None:
        for offset, piece in PIECES.items():
            writer.write(offset, piece)
        writer.sync()

        assert writer.read(MIB - 3, 2000) == whole()[MIB - 3 : MIB + 1997]
        assert writer.read(SIZE - 1024, 1024) == whole()[-1024:]
        assert writer.read(2 * MIB, 10) == bytes(10)

    def test_a_discarded_range_reads_as_zeros(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(0, b"x" * SIZE)
        writer.discard(10_000, 3 * MIB)
        writer.discard(SIZE - 600, 600)

        expected = b"x" * 10_000 + bytes(3 * MIB) + b"x" * (SIZE - 600 - 10_000 - 3 * MIB) + bytes(600)
        assert writer.read(0, SIZE) == expected
        assert self.finished(tmp_path, writer) == expected

    def test_a_discarded_range_can_be_written_again(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(0, b"x" * MIB)
        writer.discard(0, SIZE)
        writer.write(70_000, b"again")

        assert self.finished(tmp_path, writer) == whole(pieces={70_000: b"again"})

    def test_marking_what_was_written_changes_nothing(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(70_000, b"found and hashed")
        writer.mark(70_000, 16)
        writer.mark(SIZE, 0)

        assert self.finished(tmp_path, writer) == whole(pieces={70_000: b"found and hashed"})

    def test_the_size_that_a_disk_has_may_be_told_again(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(5, b"five")
        writer.resize(SIZE)

        assert self.finished(tmp_path, writer) == whole(pieces={5: b"five"})

    def test_many_threads_may_write_disjoint_ranges(self, writer: DiskWriter, tmp_path: Path) -> None:
        data = random.Random(4).randbytes(SIZE)
        step = 10_000

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda at: writer.write(at, data[at : at + step]), range(0, SIZE, step)))

        assert self.finished(tmp_path, writer) == data

    def test_finishing_twice_is_harmless(self, writer: DiskWriter, tmp_path: Path) -> None:
        writer.write(5, b"five")
        writer.finish()

        assert self.finished(tmp_path, writer) == whole(pieces={5: b"five"})
