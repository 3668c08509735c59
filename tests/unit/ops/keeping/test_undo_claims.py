"""What an undo gives back of disks that are kept in place, when another VM may have got them meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blixard.errors import Conflict
from blixard.ops.keeping.undo import undo
from blixard.ops.vm.attach import AttachOptions, attach_image
from blixard.ops.vm.create import create_vm
from blixard.ops.vm.edit import delete_vm
from blixard.ops.vm.specs import DiskSpec, VmSpec
from blixard.site.open_cluster import OpenCluster
from support.clusters import Watched, a_cluster

CONTENT = b"content" * 1000


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenCluster]:
    with a_cluster(tmp_path / "data") as cluster:
        yield cluster


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(CONTENT)
    return path


def make(opened: OpenCluster, name: str, image: Path, *, read_only: bool = False) -> None:
    disk = DiskSpec(path=image, name="root", read_only=read_only)
    create_vm(opened, VmSpec(name=name, disks=(disk,), image_in_place=True), Watched())


def paths(opened: OpenCluster) -> dict[str, str | None]:
    state = opened.snapshot()
    names = {vm.id: vm.name for vm in state.vms.values()}
    return {names[key.vm_id]: content.path for key, content in state.contents.items()}


def test_a_disk_in_place_that_nobody_took_comes_back_and_is_claimed_again(opened: OpenCluster, image: Path) -> None:
    make(opened, "a", image)
    delete_vm(opened, "a")

    undo(opened, None, dry_run=False, force=False)

    assert paths(opened) == {"a": str(image)}
    with pytest.raises(Conflict, match="disk `root` of VM `a`"):
        make(opened, "b", image)


def test_a_disk_in_place_that_another_vm_got_is_not_given_to_two(opened: OpenCluster, image: Path) -> None:
    make(opened, "a", image)
    delete_vm(opened, "a")
    make(opened, "b", image)

    for force in (False, True):
        with pytest.raises(Conflict, match="disk `root` of VM `b`"):
            undo(opened, None, dry_run=False, force=force)

    assert paths(opened) == {"b": str(image)}


def test_content_that_was_attached_over_it_is_not_taken_back_either(
    opened: OpenCluster, image: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.raw"
    other.write_bytes(b"other")
    make(opened, "a", image)
    attach_image(opened, AttachOptions(vm="a", disk="root", path=other, replace=True), Watched())
    make(opened, "b", image)

    with pytest.raises(Conflict, match="disk `root` of VM `b`"):
        undo(opened, None, dry_run=False, force=False)

    assert paths(opened) == {"a": None, "b": str(image)}


def test_readers_may_share_it(opened: OpenCluster, image: Path) -> None:
    make(opened, "a", image, read_only=True)
    delete_vm(opened, "a")
    make(opened, "b", image, read_only=True)

    undo(opened, None, dry_run=False, force=False)

    assert paths(opened) == {"a": str(image), "b": str(image)}


def test_a_disk_in_place_that_is_gone_stops_no_undo(opened: OpenCluster, image: Path) -> None:
    make(opened, "a", image)
    delete_vm(opened, "a")
    image.unlink()

    undo(opened, None, dry_run=False, force=False)

    assert paths(opened) == {"a": str(image)}
