"""qcow2 under random writes and random damage."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from blixard.disks.detect import open_reader
from blixard.disks.qcow2.entries import RangeKind
from blixard.disks.qcow2.mapping import Run
from blixard.disks.qcow2.overlay import overlay_extents
from blixard.disks.qcow2.writer import Qcow2Writer
from blixard.errors import ExportFileError, StorageError
from blixard.limits import MIB
from blixard.model.structs import DiskFormat
from blixard.ports import Extent
from support.disk_conformance import read_all, read_extents
from support.qcow2_builder import CLUSTER, COPIED, DATA, ImageBuilder
from support.qcow2_shapes import SHAPES
from support.qemu import assert_clean, guest_bytes, needs_qemu

SIZE = 1 * MIB + 512
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "discard", "resume", "finish"]),
        st.integers(0, SIZE),
        st.one_of(st.integers(0, 2000), st.sampled_from([65536, 65537, 131072, SIZE])),
        st.integers(1, 255),
    ),
    max_size=12,
)


@needs_qemu
@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_any_sequence_of_writes_discards_and_restarts_is_what_a_bytearray_would_hold(
    steps: list[tuple[str, int, int, int]],
) -> None:
    model = bytearray(SIZE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk"
        writer = Qcow2Writer(path, SIZE)
        for verb, offset, wanted, value in steps:
            length = min(wanted, SIZE - offset)
            if verb == "write":
                writer.write(offset, bytes([value]) * length)
                model[offset : offset + length] = bytes([value]) * length
            elif verb == "discard":
                writer.discard(offset, length)
                model[offset : offset + length] = bytes(length)
            elif verb == "finish":
                writer.finish()
            else:
                writer.close()
                writer = Qcow2Writer(path, SIZE, resume=True)
        assert writer.read(0, SIZE) == model
        writer.finish()
        writer.close()

        assert_clean(path)
        assert guest_bytes(path) == model
        with open_reader(path) as reader:
            assert read_extents(reader) == read_all(reader) == model


@st.composite
def intervals(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Ascending (start, end), possibly touching."""
    edges = sorted(draw(st.lists(st.integers(0, 60), max_size=16)))
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False) if a < b]


@given(
    top=intervals(),
    kinds=st.lists(st.sampled_from(RangeKind), min_size=8, max_size=8),
    below=intervals(),
    data=st.data(),
)
def test_an_overlay_shows_its_own_data_and_what_is_below_where_it_has_nothing(
    top: list[tuple[int, int]], kinds: list[RangeKind], below: list[tuple[int, int]], data: st.DataObject
) -> None:
    size = data.draw(st.integers(max((end for _, end in top), default=0), 60))
    runs = [Run(a, b, kind, 0) for (a, b), kind in zip(top, kinds, strict=False) if kind != RangeKind.NONE]
    hidden = {n for run in runs for n in range(run.start, run.end)}
    expected = {n for run in runs if run.kind != RangeKind.ZERO for n in range(run.start, run.end)}
    expected |= {n for a, b in below for n in range(a, min(b, size)) if n not in hidden}

    found = list(overlay_extents(iter(runs), (Extent(a, b - a) for a, b in below), size))

    assert [n for e in found for n in range(e.offset, e.offset + e.length)] == sorted(expected)
    assert all(one.offset + one.length < two.offset for one, two in pairwise(found))


@cache
def victims() -> list[bytes]:
    """Valid images, small, of the shapes with the most machinery."""
    made = [
        ImageBuilder().bytes(),
        ImageBuilder().packed(bytes(600)).bytes(),
        ImageBuilder().extended(4 * DATA | COPIED, 0xFF_0000_FF00).bytes(),
    ]
    names = ["zlib, clusters of 512", "zstd, clusters of 512", "snapshot", "two bitmaps and a snapshot"]
    for name in [*names, "extended L2, clusters of 16384"]:
        with tempfile.TemporaryDirectory() as folder:
            made.append(SHAPES[name](Path(folder)).read_bytes())
    return made


def metadata_of(image: bytes) -> list[tuple[int, int]]:
    """Where the damage is most interesting: header, L1, refcount table, snapshots, and the first L2 table."""
    l1 = int.from_bytes(image[40:48], "big")
    table = int.from_bytes(image[48:56], "big")
    l2 = int.from_bytes(image[l1 : l1 + 8], "big") & ~COPIED
    snapshots = int.from_bytes(image[64:72], "big")
    return [(0, 120), (0, 512), (l1, 64), (table, 32), (l2, 512), (snapshots, 128), (0, len(image))]


class Damaged(Struct, frozen=True):
    """An image of `victims` with other bytes at places of it, in this order; without any, it is cut off there.

    A recipe and no image, because Hypothesis keeps all that it draws: 20,000 images would be 7 GB.
    """

    victim: int
    edits: tuple[tuple[int, bytes], ...]

    def image(self) -> bytes:
        image = bytearray(victims()[self.victim])
        for at, content in self.edits:
            if content:
                image[at : at + len(content)] = content
            else:
                del image[at:]
        return bytes(image)


@st.composite
def damaged(draw: st.DrawFn) -> Damaged:
    victim = draw(st.integers(0, len(victims()) - 1))
    found = Damaged(victim, ())
    places = metadata_of(victims()[victim])
    for _ in range(draw(st.integers(1, 4))):
        image = found.image()
        places = [(start, length) for start, length in places if start < len(image)]
        start, length = draw(st.sampled_from(places))
        at = min(start + draw(st.integers(0, length - 1)), len(image) - 1)
        kind = draw(st.sampled_from(["bit", "byte", "word", "cut"]))
        if kind == "bit":
            edit = at, bytes([image[at] ^ 1 << draw(st.integers(0, 7))])
        elif kind == "byte":
            edit = at, bytes([draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))])
        elif kind == "word":
            value = draw(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 64).map(lambda n: n * CLUSTER)))
            edit = at // 8 * 8, value.to_bytes(8, "big")
        elif draw(st.integers(0, 9)) == 0:
            edit = max(at, 72), b""
        else:
            continue
        found = Damaged(victim, (*found.edits, edit))
    return found


def read_or_refuse(image: bytes) -> None:
    """Read as an export would, bounded; only our errors for bad images may come out, and soon."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk"
        path.write_bytes(image)
        try:
            with open_reader(path, DiskFormat.QCOW2) as reader:
                for at, length in pieces(reader.extents()):
                    reader.read_into(at, memoryview(bytearray(length)))
        except (ExportFileError, StorageError):
            pass
    assert time.monotonic() - began < 20


def pieces(extents: Iterator[Extent]) -> Iterator[tuple[int, int]]:
    """At most 4 MiB of what an export would read, in pieces of at most 64 KiB."""
    left = 4 * MIB
    for extent in extents:
        for at in range(extent.offset, extent.offset + extent.length, 65536):
            if left <= 0:
                return
            left -= 65536
            yield at, min(65536, extent.offset + extent.length - at)


@needs_qemu
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(damage=damaged())
def test_a_damaged_image_is_read_or_refused(damage: Damaged) -> None:
    read_or_refuse(damage.image())


@pytest.mark.long
@needs_qemu
@pytest.mark.parametrize("part", range(4))
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(damage=damaged())
def test_a_damaged_image_is_read_or_refused_in_a_long_run(part: int, damage: Damaged) -> None:
    """In parts, so that they run beside each other; each draws its own images."""
    read_or_refuse(damage.image())


def read_alike(image: bytes) -> None:
    """Where we read a damaged image and QEMU does, both see the same; we may refuse more than QEMU."""
    with tempfile.TemporaryDirectory() as folder:
        path, ours = Path(folder) / "disk", Path(folder) / "ours"
        path.write_bytes(image)
        try:
            with open_reader(path, DiskFormat.QCOW2) as reader:
                if reader.size_bytes > 16 * MIB:
                    return
                ours.write_bytes(read_all(reader))
                assert read_extents(reader) == ours.read_bytes()
        except (ExportFileError, StorageError):
            return
        compared = subprocess.run(
            ["qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, ours], check=False, capture_output=True, text=True
        )
        assert compared.returncode != 1, compared.stdout


@needs_qemu
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(damage=damaged())
def test_a_damaged_image_that_is_read_is_read_as_qemu_does(damage: Damaged) -> None:
    read_alike(damage.image())


@pytest.mark.long
@needs_qemu
@settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck))
@given(damage=damaged())
def test_a_damaged_image_that_is_read_is_read_as_qemu_does_in_a_long_run(damage: Damaged) -> None:
    read_alike(damage.image())


@settings(max_examples=200, deadline=None)
@given(tail=st.binary(max_size=400))
def test_noise_behind_a_magic_is_read_or_refused(tail: bytes) -> None:
    read_or_refuse(b"QFI\xfb" + tail)
