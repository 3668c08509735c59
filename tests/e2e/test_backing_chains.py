"""qcow2 images with backing files, from `vm create` to the disk that comes back: what may be read, and what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import Ran
from support.documents import noise
from support.qcow2_builder import CLUSTER, GUEST_SIZE, ImageBuilder
from support.qemu import needs_qemu, qemu_img
from support.world import World

BASE = noise(GUEST_SIZE, 7)
SEEN = b"".join(bytes([0x41 + n]) * CLUSTER for n in range(3)) + BASE[3 * CLUSTER :]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for folder in ("out", "images/vms", "images/bases"):
        (tmp_path / folder).mkdir(parents=True)
    (made.images / "bases/base.raw").write_bytes(BASE)
    made.must("cluster", "init", "lab")
    return made


def overlay(world: World, backing: bytes = b"../bases/base.raw", name: str = "over.qcow2") -> Path:
    return ImageBuilder().backing(backing).save(world.images / "vms" / name)


def create(world: World, disk: str, *more: str) -> Ran:
    return world.blixard("vm", "create", "web", "--disk", disk, *more)


def exported_disk(world: World) -> tuple[int, bytes]:
    """The exit code of an export with images, and what the disk in it looks like to a guest."""
    file, disk = world.out / "full.json.gz", world.out / "disk.raw"
    code = world.blixard("cluster", "export", "-o", file, "--include-images").code
    if code == 0:
        world.must("cluster", "extract", file, "web", "-o", disk, "--format", "raw")
    return code, disk.read_bytes() if disk.exists() else b""


@pytest.mark.parametrize("in_place", [False, True])
def test_a_chain_beneath_the_images_own_folder_needs_only_its_format(world: World, *, in_place: bool) -> None:
    (world.images / "vms/base.raw").write_bytes(BASE)
    image = overlay(world, b"base.raw")

    made = create(world, f"{image},format=qcow2", *(["--image-in-place"] if in_place else []))

    assert made.code == 0, made
    assert exported_disk(world) == (0, SEEN)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_chain_elsewhere_needs_the_folder_that_holds_it(world: World, *, in_place: bool) -> None:
    image, more = overlay(world), ["--image-in-place"] if in_place else []

    refused = create(world, f"{image},format=qcow2", *more)
    made = create(world, f"{image},format=qcow2,backing={world.images}", *more)

    assert refused.code == 10
    assert "is not beneath" in refused.err
    assert "hint: `backing=DIR` allows the folder that holds the whole chain" in refused.err
    assert made.code == 0, made
    assert exported_disk(world) == (0, SEEN)


def test_a_copy_is_flat_and_needs_its_backing_files_no_more(world: World) -> None:
    image = overlay(world)
    world.must("vm", "create", "web", "--disk", f"{image},format=qcow2,backing={world.images}")
    image.unlink()
    (world.images / "bases/base.raw").unlink()

    assert exported_disk(world) == (0, SEEN)


def test_a_chain_in_place_comes_back_as_one_flat_qcow2(world: World) -> None:
    image = overlay(world)
    before = image.read_bytes()
    world.must("vm", "create", "web", "--disk", f"{image},format=qcow2,backing={world.images}", "--image-in-place")
    world.must("cluster", "export", "-o", world.out / "full.json.gz", "--include-images")

    world.must("cluster", "import", "-i", world.out / "full.json.gz", "-c", "copy")

    [path] = world.cluster("copy").disks.glob("*.qcow2")
    world.must("cluster", "export", "-c", "copy", "-o", world.out / "again.json.gz", "--include-images")
    world.must("cluster", "extract", world.out / "again.json.gz", "web", "-o", world.out / "x", "--format", "raw")
    assert (world.out / "x").read_bytes() == SEEN
    assert b"base.raw" not in path.read_bytes()
    assert image.read_bytes() == before


def test_an_image_that_is_only_detected_as_qcow2_has_no_backing_files(world: World) -> None:
    (world.images / "vms/base.raw").write_bytes(BASE)

    refused = create(world, str(overlay(world, b"base.raw")))

    assert refused.code == 10
    assert "add `format=qcow2`" in refused.err


@pytest.mark.parametrize("said", ["", ",format=raw"])
def test_a_folder_for_backing_files_goes_with_the_format(world: World, said: str) -> None:
    refused = create(world, f"{overlay(world)}{said},backing={world.images}")

    assert refused.code == 2
    assert "add `format=qcow2`" in refused.err


def test_a_header_that_changes_later_chooses_no_other_files(world: World) -> None:
    """The guest of an image in place was given its host's secret by a new header: CVE-2024-32498."""
    (world.images / "secret").write_bytes(noise(GUEST_SIZE, 9))
    image = overlay(world)
    world.must(
        "vm", "create", "web", "--disk", f"{image},format=qcow2,backing={world.images}/bases", "--image-in-place"
    )
    assert exported_disk(world) == (0, SEEN)
    (world.out / "disk.raw").unlink()

    overlay(world, b"../secret")

    assert exported_disk(world) == (3, b"")


def test_an_image_in_place_that_stood_alone_gets_no_backing_file_later(world: World) -> None:
    (world.images / "vms/base.raw").write_bytes(BASE)
    image = ImageBuilder().save(world.images / "vms/alone.qcow2")
    world.must("vm", "create", "web", "--disk", str(image), "--image-in-place")

    overlay(world, b"base.raw", "alone.qcow2")
    told = world.blixard("cluster", "export", "-o", world.out / "full.json.gz", "--include-images")

    assert told.code == 3
    assert "attached as an image that has none" in told.err


def test_a_disk_gets_its_chain_by_attach_image_too(world: World) -> None:
    image = overlay(world)
    world.must("vm", "create", "web", "--disk", str(ImageBuilder().save(world.images / "first.qcow2")))
    attach = ["vm", "attach-image", "web", "root", str(image), "--format", "qcow2", "--image-in-place", "--replace"]

    refused = world.blixard(*attach)
    world.must(*attach, "--backing", world.images)

    assert refused.code == 10
    assert exported_disk(world) == (0, SEEN)


def test_an_image_reached_through_a_symlink_is_the_same_at_export(world: World) -> None:
    image = overlay(world)
    link = world.images / "link.qcow2"
    link.symlink_to(image)

    made = create(world, f"{link},format=qcow2,backing={world.images}", "--image-in-place")

    assert made.code == 0, made
    link.unlink()
    assert exported_disk(world) == (0, SEEN)


def test_undo_brings_the_chain_back_as_it_was_allowed(world: World) -> None:
    image = overlay(world)
    world.must("vm", "create", "web", "--disk", f"{image},format=qcow2,backing={world.images}", "--image-in-place")
    world.must("vm", "delete", "web")

    world.must("cluster", "undo")

    assert exported_disk(world) == (0, SEEN)


@needs_qemu
def test_a_chain_that_qemu_made_is_read_as_qemu_reads_it(world: World) -> None:
    base, middle, top = (world.images / f"bases/{name}" for name in ("base.raw", "middle.qcow2", "top.qcow2"))
    qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", middle)
    qemu_img("create", "-q", "-f", "qcow2", "-b", middle, "-F", "qcow2", top, "1M")
    world.must("vm", "create", "web", "--disk", f"{top},format=qcow2", "--image-in-place")
    world.must("cluster", "export", "-o", world.out / "full.json.gz", "--include-images")

    world.must("cluster", "extract", world.out / "full.json.gz", "web", "-o", world.out / "web.qcow2")

    qemu_img("compare", "-q", "-f", "qcow2", "-F", "qcow2", top, world.out / "web.qcow2")
