from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from blixard.disks.detect import open_reader
from blixard.disks.records.dedup import DigestTable
from blixard.disks.records.pipeline import Chunk, RecordPipeline
from blixard.disks.staging.staging import Staged, Staging
from blixard.limits import BLOCK_BYTES, MIB
from blixard.model.structs import DiskFormat
from support.disks import MemoryDisk
from support.staging import Image, content, document, feed, put_all, stage

_SECTOR = 512


class Recipe(Struct, frozen=True):
    """A disk made of few different blocks, zeros among them, so that disks share content; its end on any sector."""

    blocks: tuple[int, ...]
    tail_sectors: int
    tail_byte: int

    def bake(self) -> bytes:
        return b"".join(map(_block, self.blocks)) + bytes([self.tail_byte]) * (_SECTOR * self.tail_sectors)


def _block(kind: int) -> bytes:
    if kind < 6:
        return bytes(BLOCK_BYTES)
    return bytes([kind]) + bytes(BLOCK_BYTES - 1) if kind < 8 else bytes([kind]) * BLOCK_BYTES


recipes = st.builds(
    Recipe, st.lists(st.integers(0, 12), max_size=40).map(tuple), st.integers(0, 127), st.integers(0, 1)
)
several = st.lists(recipes, min_size=1, max_size=3)
formats = st.lists(st.sampled_from(DiskFormat), min_size=3, max_size=3)


def export(data: list[bytes], threads: int, extents: list[list[tuple[int, int]]] | None = None) -> list[list[Chunk]]:
    readers = [MemoryDisk(disk, extents[number] if extents else None) for number, disk in enumerate(data)]
    with RecordPipeline(threads, DigestTable()) as pipeline:
        return [
            list(pipeline.records(reader, lambda record, _: (repr(record).encode(),), lambda _: None))
            for reader in readers
        ]


def nonzero(data: bytes, step: int) -> list[tuple[int, int]]:
    """What a file system with blocks of `step` bytes would call allocated."""
    starts = range(0, len(data), step)
    return [(at, min(step, len(data) - at)) for at in starts if any(data[at : at + step])]


def stored_blocks(staged: Staged) -> set[int]:
    reader = open_reader(staged.path, staged.format)
    try:
        return {
            block
            for extent in reader.extents()
            for block in range(extent.offset // BLOCK_BYTES, -(-(extent.offset + extent.length) // BLOCK_BYTES))
        }
    finally:
        reader.close()


@settings(max_examples=40, deadline=None)
@given(several, formats, st.booleans())
def test_disks_come_back_with_their_bytes_and_their_holes(
    baked: list[Recipe],
    wanted: list[DiskFormat],
    heads_first: bool,  # noqa: FBT001 - drawn
) -> None:
    data = [recipe.bake() for recipe in baked]
    with tempfile.TemporaryDirectory() as folder:
        images = document(data, wanted[: len(data)])
        staged = stage(Path(folder) / "key", images, heads_first=heads_first)

        assert [content(staged[number]) for number in range(len(data))] == data
        for number, disk in enumerate(data):
            held = nonzero(disk, BLOCK_BYTES)
            assert staged[number].data_bytes == sum(length for _, length in held)
            assert stored_blocks(staged[number]) == {offset // BLOCK_BYTES for offset, _ in held}


@settings(max_examples=40, deadline=None)
@given(several, st.integers(2, 6), st.sampled_from([4096, 12288, 65536, 262144]))
def test_records_depend_on_content_alone(baked: list[Recipe], threads: int, step: int) -> None:
    data = [recipe.bake() for recipe in baked]
    assert export(data, threads, [nonzero(disk, step) for disk in data]) == export(data, 1)


@settings(max_examples=40, deadline=None)
@given(several, formats, st.data())
def test_a_staging_that_stopped_anywhere_goes_on_there(
    baked: list[Recipe], wanted: list[DiskFormat], drawn: st.DataObject
) -> None:
    data = [recipe.bake() for recipe in baked]
    images = document(data, wanted[: len(data)])
    total = sum(len(image.records) for image in images)
    stop = drawn.draw(st.integers(0, total))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _stage_part(folder, images, stop)

        with Staging(folder, threads=2, resume=True) as staging:
            feed(staging, images)
            staged = staging.finish()

            assert [content(staged[number]) for number in range(len(data))] == data
            assert staging.decoded == _carried(images, stop, total)


def _stage_part(folder: Path, images: list[Image], stop: int) -> None:
    with Staging(folder, threads=2, checkpoint_bytes=MIB) as staging:
        for number, image in enumerate(images):
            staging.begin(number, image.head)
            put_all(staging, number, image.records[: max(stop, 0)])
            stop -= len(image.records)
            if stop < 0:
                break
            staging.end(number, image.head)
        staging._walk.drain()


def _carried(images: list[Image], start: int, end: int) -> int:
    frames = [frame for image in images for _, frame in image.records]
    return sum(frame is not None for frame in frames[start:end])
