"""Damage anywhere in an export: what `import` takes of it is right to the byte, and what is whole can be had."""

from __future__ import annotations

import json
import random
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from msgspec import Struct

from blixard.disks.detect import open_writer
from blixard.format.index import open_fast
from blixard.model.structs import DiskFormat
from support.commands import codes
from support.documents import MIB, noise
from support.inputs import BytesInput
from support.world import KIB, World, fast_folder, picture

W, X, Y, Z = (noise(20 * KIB, seed) + bytes(44 * KIB) for seed in range(4))
NEEDS = {"b/root": {"a/root"}, "d/root": {"c/root"}}
"""Whose data a disk refers to."""
REFUSED = {10, 11, 13}
IMPORT = ("cluster", "import", "-q", "--threads", "2")
AT_ONCE = 20
"""Documents whose imports share a child."""
Ended = tuple[int, dict[str, str] | None]
"""Exit code, and the disks of what is there then."""


class Export(Struct, frozen=True):
    """A document, what its disks hold, and which bytes of it each disk stands on, by `VM/DISK`."""

    document: bytes
    disks: dict[str, str]
    stands_on: dict[str, range]

    @property
    def images(self) -> range:
        """All bytes of the disks."""
        spans = self.stands_on.values()
        return range(min(span.start for span in spans), max(span.stop for span in spans))

    def whole(self, place: int) -> set[str]:
        """The disks on which damage at `place` has no effect."""
        hit = {name for name, span in self.stands_on.items() if place in span}
        return {name for name in self.disks if name not in hit and not NEEDS.get(name, set()) & hit}


def disk_of(*parts: bytes) -> bytes:
    """Parts at whole MiB, so that equal ones become equal records."""
    return b"".join(part.ljust(MIB, b"\0") for part in parts)


@pytest.fixture(scope="module")
def exports() -> Iterator[dict[str, Export]]:
    with fast_folder() as folder:
        world = World(folder / "old")
        for each in (world.root, world.images, world.out):
            each.mkdir()
        world.must("cluster", "init", "lab")
        for name, content in {
            "a": disk_of(W, X),
            "b": disk_of(X),
            "c": disk_of(Y, Z),
            "d": disk_of(W[::-1], Z),
        }.items():
            path = world.images / f"{name}.raw"
            path.write_bytes(content)
            world.must("vm", "create", name, "--disk", f"{_as_qcow2(path) if name == 'd' else path},name=root")
        found = {}
        for name, how in (("gzip", ()), ("plain", ("--no-compress",))):
            file = world.out / name
            world.must("cluster", "export", "-o", file, "--include-images", *how)
            found[name] = _export(file.read_bytes(), picture(world)["lab"].disks)
        yield found


def _as_qcow2(raw: Path) -> Path:
    content = raw.read_bytes()
    made = raw.with_suffix(".qcow2")
    writer = open_writer(made, DiskFormat.QCOW2, len(content))
    for at in range(0, len(content), MIB):
        writer.write(at, content[at : at + 64 * KIB])
    writer.finish()
    writer.close()
    return made


def _export(document: bytes, disks: dict[str, str]) -> Export:
    view = open_fast(BytesInput(document))
    assert view is not None
    with view:
        rows = view.index.images
        integrity = view.index.integrity
        assert isinstance(integrity, int)
        # between two disks stand the tail of one and the head of the other, in one member
        begins = [view.index.images_at, *(row.at + row.stored_bytes for row in rows[:-1])]
        ends = [*(row.at for row in rows[1:]), integrity]
    spans = {f"{row.vm}/{row.disk}": range(*span) for row, *span in zip(rows, begins, ends, strict=True)}
    assert {name for name, digest in disks.items() if digest} == set(spans)
    return Export(document, disks, spans)


def imported(document: bytes, folder: Path, *options: str) -> Ended:
    """Import into a new data directory."""
    world = World(folder)
    folder.mkdir()
    (folder / "file").write_bytes(document)
    try:
        code = world.blixard(*IMPORT, "-i", folder / "file", *options).code
        return _ended(code, world)
    finally:
        shutil.rmtree(folder)


def imported_both_ways(documents: list[bytes], folder: Path) -> list[tuple[Ended, Ended]]:
    """Import each of `documents` into data directories of its own, as it is and with its damaged disks skipped."""
    folder.mkdir()
    try:
        pairs: list[list[World]] = []
        lines: list[tuple[str | Path, ...]] = []
        for number, document in enumerate(documents):
            file = folder / str(number)
            file.write_bytes(document)
            pair = [World(folder / f"{number} {how}") for how in ("strict", "skip")]
            for world, options in zip(pair, ((), ("--skip-damaged",)), strict=True):
                lines.append((*IMPORT, "-i", file, *options, "--data-dir", world.data))
            pairs.append(pair)
        ended = iter(codes(lines))
        return [(_ended(next(ended), strict), _ended(next(ended), skip)) for strict, skip in pairs]
    finally:
        shutil.rmtree(folder)


def _ended(code: int, world: World) -> Ended:
    clusters = picture(world) if world.data.exists() else {}
    return code, clusters["lab"].disks if "lab" in clusters else None


def check(export: Export, place: int, strict: Ended, skipped: Ended) -> str:
    """Both ways of importing what is damaged at `place`; how it ended."""
    code, disks = strict
    assert (code == 0 and disks == export.disks) or (code in REFUSED and disks is None), (place, code)
    code, disks = skipped
    if code in REFUSED:
        assert disks is None, (place, code)
        assert strict[0] in REFUSED, (place, code)
        return "refused"
    assert code in (0, 3), (place, code)
    assert disks is not None, (place, code)
    assert disks.items() <= export.disks.items(), (place, code)
    assert (len(disks) == len(export.disks)) == (code == 0), (place, code)
    if place in export.images:
        assert export.whole(place) <= set(disks), (place, code, set(disks))
    return "whole" if code == 0 else "partial"


def places(export: Export, count: int, seed: int) -> list[int]:
    """Places in the disks: half of them anywhere, half of them where a disk ends and the next begins."""
    rng = random.Random(seed)
    edges = [
        at for span in export.stands_on.values() for at in range(span.start - 250, min(span.start + 450, span.stop))
    ]
    return rng.choices(edges, k=count // 2) + rng.choices(export.images, k=count - count // 2)


def flipped(document: bytes, place: int, seed: int) -> bytes:
    """One bit turned, or one byte another."""
    rng = random.Random(f"{place} {seed}")
    changed = bytearray(document)
    changed[place] ^= rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
    return bytes(changed)


@pytest.mark.parametrize("layout", ["gzip", "plain"])
def test_every_disk_that_damage_did_not_reach_is_restored(exports: dict[str, Export], layout: str) -> None:
    assert_restored(exports[layout], count=70, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("layout", ["gzip", "plain"])
def test_every_disk_that_damage_did_not_reach_is_restored_many_times(
    exports: dict[str, Export], layout: str, part: int
) -> None:
    assert_restored(exports[layout], count=500, seed=100 + part)


def assert_restored(export: Export, *, count: int, seed: int) -> None:
    chosen, ended = places(export, count, seed), []
    with fast_folder() as folder:
        for begin in range(0, count, AT_ONCE):
            some = chosen[begin : begin + AT_ONCE]
            damaged = [flipped(export.document, place, seed) for place in some]
            for place, both in zip(some, imported_both_ways(damaged, folder / "new"), strict=True):
                ended.append(check(export, place, *both))
    assert ended.count("partial") > count / 2, ended


@pytest.mark.parametrize("layout", ["gzip", "plain"])
def test_damage_outside_the_disks_changes_nothing_or_is_refused(exports: dict[str, Export], layout: str) -> None:
    """Of a plain file the state may be edited; the disks are what they were."""
    export = exports[layout]
    rng = random.Random(3)
    outside = [at for at in range(len(export.document)) if at not in export.images]
    with fast_folder() as folder:
        for place in rng.sample(outside, 30):
            code, disks = imported(flipped(export.document, place, 3), folder / "new", "--skip-damaged")
            assert code in {0, 3, 12, *REFUSED}, (place, code)
            if layout == "gzip":
                assert code in REFUSED or disks == export.disks, (place, code)


@pytest.mark.parametrize("layout", ["gzip", "plain"])
def test_a_burst_of_damage_costs_what_it_hit(exports: dict[str, Export], layout: str) -> None:
    """A bad sector: all its bytes are others, over the borders of members, lines and disks."""
    export = exports[layout]
    rng = random.Random(4)
    with fast_folder() as folder:
        for place in places(export, 30, 4):
            size = min(rng.choice([16, 512, 4096, 40_000]), export.images.stop - place)
            burst = export.document[:place] + rng.randbytes(size) + export.document[place + size :]
            code, disks = imported(burst, folder / "new", "--skip-damaged")
            whole = set.intersection(*(export.whole(at) for at in range(place, place + size, 8)))
            if code in REFUSED:
                assert place <= export.images.start + 250 or place + size > export.images.stop - 40, (place, size, code)
            else:
                assert code == 3, (place, size, code)
                assert disks is not None
                assert whole <= disks.keys(), (place, size)
                assert disks.items() <= export.disks.items(), (place, size)


def test_a_document_is_known_by_its_digest_with_and_without_its_damaged_disks(exports: dict[str, Export]) -> None:
    export = exports["gzip"]
    place = export.stands_on["c/root"].start + 2000
    with fast_folder() as folder:
        world = World(folder / "new")
        world.root.mkdir()
        for number, document in enumerate((export.document, flipped(export.document, place, 1))):
            (world.root / f"file{number}").write_bytes(document)
            assert world.blixard(
                "cluster", "import", world.root / f"file{number}", "-y", "--skip-damaged", "-c", f"c{number}"
            ).code in (0, 3)
        first, second = (picture(world)[name].provenance for name in ("c0", "c1"))

    assert (first["document"], first["partial"]) == (second["document"], False)
    assert (second["edited"], second["partial"]) == ((), True)


@pytest.mark.parametrize("layout", ["gzip", "plain"])
def test_the_commands_that_verify_prints_bring_back_what_it_calls_intact(
    exports: dict[str, Export], layout: str
) -> None:
    export, restored = exports[layout], 0
    with fast_folder() as folder:
        for number, place in enumerate(places(export, 20, 5)):
            world = World(folder / str(number))
            world.root.mkdir()
            (world.root / "file").write_bytes(flipped(export.document, place, 5))
            ran = world.blixard("cluster", "verify", world.root / "file", "--json", "--allow-edited")
            report = json.loads(ran.out) if ran.out.startswith("{") else {}
            intact = set(report.get("vms_intact", ()))
            for line in report.get("restore", ()):
                command = shlex.split(line)[1:]
                assert command[1] == "import", (place, line)
                assert world.blixard(*command).code == 0, (place, line)

                assert {name.partition("/")[0] for name in picture(world)["lab"].disks} == intact, (place, line)
                assert picture(world)["lab"].disks.items() <= export.disks.items(), (place, line)
                restored += 1
    assert restored > 10


def test_the_shared_parts_are_shared(exports: dict[str, Export]) -> None:
    """Else nothing above tries what becomes of a reference."""
    for part in (X, Z):
        assert exports["plain"].document.count(blake3(part).hexdigest().encode()) == 2
