"""Hostile files against the real import: the exit code that is due, and a data directory on which nothing shows."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from blake3 import blake3
from msgspec import Struct

from blixard.limits import DEFAULT, TIB
from blixard.model.structs import DiskFormat
from hostile.format_bombs import BOMBS
from hostile.format_documents import Vector
from hostile.format_vectors import VECTORS
from support.commands import Ran
from support.documents import MIB, data, disk, head, image, noise, pack, reference, uuid, vm, write
from support.small_disk import small_disk
from support.world import World, build, fast_folder, litter, picture

SEALS = ("integrity", "index", "record_tables")
FIRST, SECOND = data(0, noise(70_000, 1)), data(MIB, noise(9_000, 2))
SHARED = pack(noise(8192, 3))
TARGETS = ["web", "fresh"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with fast_folder() as folder:
        yield build(folder / "base")


class Lie(Struct, frozen=True):
    """A document whose state is valid and whose images are not, and the exit code that it must meet."""

    name: str
    code: int
    build: Callable[[], bytes]


def whole(*, compress: bool = False) -> bytes:
    """The document that the lies change: two disks, all kinds of record."""
    return write(
        head(cluster_name="web"),
        [vm("liar", id=uuid(1), disks=(disk("root", image=0), disk("data", image=1)))],
        images=[
            image("liar", "root", [FIRST, SHARED, SECOND]),
            image("liar", "data", [reference(0, FIRST), reference(MIB, SHARED, skip=4096)]),
        ],
        compress=compress,
    )


def stated(vm_name: str, *disks: str, **fields: Any) -> Callable[[], bytes]:
    """A document that is sealed as it is, whose images say of themselves what their disks do not."""

    def make() -> bytes:
        return write(
            head(cluster_name="web"),
            [vm("liar", id=uuid(1), disks=(disk("root", image=0), disk("data", image=1)))],
            images=[image(vm_name, name, [FIRST], **fields) for name in disks],
        )

    return make


def bare(change: Callable[[Any], object]) -> Callable[[], bytes]:
    """The document changed, and without anything that vouches for it: only its structure can give it away."""

    def make() -> bytes:
        document = json.loads(whole())
        for key in SEALS:
            del document[key]
        change(document)
        return json.dumps(document).encode()

    return make


def sealed(change: Callable[[Any], object], *, compress: bool = False) -> Callable[[], bytes]:
    """The document changed under its old seals."""

    def make() -> bytes:
        document = json.loads(whole())
        change(document)
        text = json.dumps(document).encode()
        return gzip.compress(text) if compress else text

    return make


def records(document: Any, number: int = 0) -> Any:
    return document["images"][number]["records"]


def record(number: int, which: int, **fields: Any) -> Callable[[Any], object]:
    return lambda document: records(document, number)[which].update(fields)


def head_of(number: int, **fields: Any) -> Callable[[Any], object]:
    return lambda document: document["images"][number].update(fields)


def disk_of(which: int, **fields: Any) -> Callable[[Any], object]:
    return lambda document: document["vms"]["liar"]["disks"][which].update(fields)


def hashed(content: bytes) -> str:
    return blake3(content).hexdigest()


def frame_of(content: bytes, **options: Any) -> str:
    import base64

    return base64.b64encode(zstandard.ZstdCompressor(**options).compress(content)).decode()


def refer_to_a_reference(document: Any) -> None:
    """The second disk's second record covers part of a pack; a third names that part as if it were a record."""
    part = noise(8192, 3)[4096:]
    records(document, 1).append({"offset": 2 * MIB, "length": len(part), "blake3": hashed(part)})


def self_reference(document: Any) -> None:
    records(document, 0)[0].pop("zstd")


def later_record(document: Any) -> None:
    """The first disk refers to what only the second holds."""
    document["images"].reverse()
    document["images"][0].update(disk="root")
    document["images"][1].update(disk="data")


def other_bytes(document: Any) -> None:
    records(document)[0]["zstd"] = frame_of(noise(70_000, 9))


def more_bytes(document: Any) -> None:
    records(document)[0]["zstd"] = frame_of(noise(70_000, 1) + b"more")


def without_size(document: Any) -> None:
    records(document)[0]["zstd"] = frame_of(noise(70_000, 1), write_content_size=False)


def two_frames(document: Any) -> None:
    import base64

    frame = zstandard.ZstdCompressor().compress(noise(70_000, 1))
    records(document)[0]["zstd"] = base64.b64encode(frame + frame).decode()


def image_twice(document: Any) -> None:
    disk_of(1, image=0)(document)


def drop_image(document: Any) -> None:
    document["images"].pop()


def drop_record(document: Any) -> None:
    records(document).pop()


LIES = [
    Lie("reference to what no record holds", 10, bare(record(1, 0, blake3="ab" * 32))),
    Lie("reference to a reference", 10, bare(refer_to_a_reference)),
    Lie("reference to itself", 10, bare(self_reference)),
    Lie("reference to a later record", 10, bare(later_record)),
    Lie("reference past the end of its record", 10, bare(record(1, 1, skip=8192))),
    Lie("reference longer than its record", 10, bare(record(1, 0, length=70_001))),
    Lie("record past the size of its disk", 10, bare(record(0, 2, offset=4 * MIB - 10))),
    Lie("record that overlaps the one before", 10, bare(record(0, 2, offset=69_999))),
    Lie("record before the one before", 10, bare(record(1, 1, offset=0))),
    Lie("wrong blake3", 11, bare(record(0, 0, blake3="cd" * 32))),
    Lie("other bytes than the blake3 names", 11, bare(other_bytes)),
    Lie("frame with more bytes than the record", 10, bare(more_bytes)),
    Lie("frame that does not tell its size", 10, bare(without_size)),
    Lie("two frames in one record", 10, bare(two_frames)),
    Lie("frame that is none", 10, bare(record(0, 0, zstd="bm90IGEgZnJhbWU="))),
    Lie("text that is not base64", 10, bare(record(0, 0, zstd="!!!!"))),
    Lie("record longer than any may be", 13, bare(record(0, 0, length=DEFAULT.record_bytes + 1))),
    Lie("image named by two disks", 10, bare(image_twice)),
    Lie("image that is not there", 10, bare(disk_of(1, image=7))),
    Lie("image of fewer disks than name one", 10, bare(drop_image)),
    Lie("image of another size than its disk", 10, stated("liar", "root", "data", size_bytes=2 * MIB)),
    Lie("image of another format than its disk", 10, stated("liar", "root", "data", disk_format=DiskFormat.QCOW2)),
    Lie("image smaller than its records", 10, bare(head_of(1, size_bytes=MIB))),
    Lie("image larger than any disk may be", 13, bare(head_of(0, size_bytes=DEFAULT.disk_bytes + 1))),
    Lie("image of a size that no file has", 13, bare(head_of(0, size_bytes=1 << 62))),
    Lie("image that is a negative size", 10, bare(head_of(0, size_bytes=-1))),
    Lie("image whose digest is another's", 11, sealed(head_of(0, digest="ef" * 32))),
    Lie("image whose data bytes are not so many", 10, sealed(head_of(0, data_bytes=1))),
    Lie("gzip whose record was dropped", 10, sealed(drop_record, compress=True)),
    Lie("gzip whose disk was edited", 11, sealed(disk_of(0, bus="scsi"), compress=True)),
    Lie("gzip under another digest", 11, sealed(lambda d: d["integrity"].update(document="12" * 32), compress=True)),
]


def untouched(world: World, before: object, ran: Ran, code: int) -> None:
    assert ran.code == code, ran
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ran
    assert "Traceback" not in ran.err
    assert picture(world) == before
    assert litter(world) == []


def put(world: World, content: bytes) -> Path:
    path = world.root / "hostile"
    path.write_bytes(content)
    return path


def import_of(path: Path, target: str) -> tuple[str | Path, ...]:
    return ("cluster", "import", "-i", path, "-c", target)


def test_the_document_that_the_lies_change_is_imported(world: World) -> None:
    with fast_folder() as folder:
        there = world.copy(folder / "world")
        for content in (whole(), whole(compress=True), bare(lambda _document: None)()):
            ran = there.blixard(*import_of(put(there, content), "web"))
            assert ran.code == 0, ran


@pytest.mark.parametrize("names", [("liar", "data", "root"), ("other", "root", "data")])
def test_the_number_in_a_disk_is_the_only_link_to_its_image(names: tuple[str, ...], world: World) -> None:
    """FORMAT.md section 2: who renames a VM by hand need not look for it among the images."""
    with fast_folder() as folder:
        there = world.copy(folder / "world")
        ran = there.blixard(*import_of(put(there, stated(*names)()), "web"))

        assert ran.code == 0, ran
        assert set(picture(there)["web"].disks) == {"liar/root", "liar/data"}


def test_no_two_lies_have_one_name() -> None:
    assert len({lie.name for lie in LIES}) == len(LIES) > 30


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_images_that_lie_leave_the_cluster_as_it_was(lie: Lie, target: str, world: World) -> None:
    before = picture(world)
    ran = world.blixard(*import_of(put(world, lie.build()), target))

    untouched(world, before, ran, lie.code)


BOUNDED = [vector for vector in VECTORS if vector not in BOMBS and vector.limits == DEFAULT]


@pytest.mark.parametrize(
    "vector",
    [pytest.param(each, marks=[] if number % 4 == 0 else pytest.mark.long) for number, each in enumerate(BOUNDED)],
    ids=lambda vector: vector.name,
)
def test_a_hostile_document_leaves_the_cluster_as_it_was(vector: Vector, world: World) -> None:
    before, content = picture(world), vector.build().read()
    for target in TARGETS:
        ran = world.blixard(*import_of(put(world, content), target))

        untouched(world, before, ran, int(vector.error.exit_code))


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("part", range(30))
def test_a_truncated_document_leaves_the_cluster_as_it_was(part: int, compress: bool, world: World) -> None:  # noqa: FBT001 - a parameter of the test
    content = whole(compress=compress)
    before = picture(world)
    ran = world.blixard(*import_of(put(world, content[: len(content) * part // 30]), "web"))

    untouched(world, before, ran, 10)


@pytest.mark.parametrize("change", [b"", b" ", b"{}", b"\0"], ids=["nothing", "space", "object", "nul"])
def test_what_follows_the_document_is_refused(change: bytes, world: World) -> None:
    content = whole() + change
    before = picture(world)
    with fast_folder() as folder:
        there = world.copy(folder / "world")
        ran = there.blixard(*import_of(put(there, content), "web"))
        if change.strip():
            untouched(there, before, ran, 10)
        else:
            assert ran.code == 0, ran


def test_an_index_that_names_another_document_does_not_go_on_with_what_that_staged(world: World) -> None:
    """The tail is only a name: a file that claims the digest of another meets its own at the end."""
    with fast_folder() as folder:
        there = world.copy(folder / "world")
        real = (there.out / "new.json.gz").read_bytes()
        before = picture(there)
        digest = json.loads(gzip.decompress(real))["integrity"]["document"]
        liar = json.loads(whole())
        content = whole().replace(liar["integrity"]["document"].encode(), digest.encode())
        ran = there.blixard(*import_of(put(there, content), "web"), "--strict")

        untouched(there, before, ran, 11)
        assert there.blixard(*import_of(there.out / "new.json.gz", "web")).code == 0
        assert litter(there) == []


@pytest.mark.root
def test_a_few_bytes_that_become_more_than_there_is_room_for_are_refused(world: World, tmp_path: Path) -> None:
    """One megabyte, referred to again and again: space is watched while it is written."""
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nspace_reserve_bytes = 1048576\n")
    first = data(0, noise(MIB, 5))
    pieces = [first, *(reference(MIB * number, first) for number in range(1, 64))]
    content = write(
        head(cluster_name="web"),
        [vm("liar", id=uuid(1), disks=(disk("root", image=0, size_bytes=64 * MIB),))],
        images=[image("liar", "root", pieces, size_bytes=64 * MIB)],
        layout=False,
    )
    with small_disk(tmp_path / "disk", 24 * MIB) as small:
        there = world.copy(small / "world")
        before = picture(there)
        for target in TARGETS:
            ran = there.blixard(*import_of(put(there, content), target), "--config", config)
            untouched(there, before, ran, 30)


def test_a_sparse_disk_of_a_terabyte_costs_nothing(world: World) -> None:
    content = write(
        head(cluster_name="web"),
        [vm("wide", id=uuid(1), disks=(disk("root", image=0, size_bytes=TIB),))],
        images=[image("wide", "root", [data(TIB - MIB, noise(5000))], size_bytes=TIB)],
    )
    with fast_folder() as folder:
        there = world.copy(folder / "world")
        ran = there.blixard(*import_of(put(there, content), "web"))
        [path] = [path for path in there.cluster().disks.iterdir() if path.stat().st_size == TIB]

        assert ran.code == 0, ran
        assert path.stat().st_blocks * 512 < 2 * MIB


def test_a_document_is_not_changed_by_its_import(world: World) -> None:
    kept = copy.copy(whole())
    path = put(world, kept)
    world.blixard(*import_of(path, "web"), "--dry-run")

    assert path.read_bytes() == kept
