"""`vm attach-image`: content for a disk that has none, as after an import of a file without images.

Content that is replaced on demand is kept as an undo entry, as an import would.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, structs

from blixard.errors import Conflict, NotFound
from blixard.home.registry import DiskOwner
from blixard.model.structs import ClusterSnapshot, Content, ContentKey, Disk, DiskFormat, JsonObject, Vm
from blixard.ops.keeping.claims import release_claims
from blixard.ops.vm.intake import bring_in, give_back
from blixard.ops.vm.specs import DiskSpec, check_backing
from blixard.plan.vm_change import fill_disk_change
from blixard.ports import Progress, StateChange
from blixard.site.open_cluster import OpenCluster, find_vm

VERB = "vm attach-image"


class AttachOptions(Struct, frozen=True, kw_only=True):
    """What is attached to which disk. `format` None: looked up in its first bytes; `backing` as in `DiskSpec`."""

    vm: str
    disk: str
    path: Path
    format: DiskFormat | None = None
    backing: Path | None = None
    in_place: bool = False
    replace: bool = False


class Attached(Struct, frozen=True, kw_only=True):
    """A disk that has content now."""

    vm: str
    disk: Disk
    replaced: bool
    warnings: tuple[str, ...]


def attach_image(opened: OpenCluster, wanted: AttachOptions, progress: Progress) -> Attached:
    """Give a disk its content; its size and format become those of the image.

    Raises:
        InvalidField: `backing` without `format` qcow2.
        NotFound: there is no such VM or disk.
        Conflict: the disk has content and `replace` is not set, or another VM writes to the file.
        StorageError: it cannot be read or copied; nothing is left behind.
    """
    check_backing(wanted.backing, wanted.format, "backing")
    options: JsonObject = {"vm": wanted.vm, "disk": wanted.disk, "path": str(wanted.path)}
    with opened.recording(VERB, options), opened.locks.editing(VERB, opened.policy.lock_wait):
        snapshot = opened.snapshot()
        vm = find_vm(snapshot, wanted.vm, opened.directory)
        disk = _disk(snapshot, vm, wanted)
        key = vm.key_of(disk)
        image = DiskSpec(
            path=wanted.path, name=disk.name, format=wanted.format, read_only=disk.read_only, backing=wanted.backing
        )
        owner = DiskOwner(opened.name, vm.name, key.vm_id, disk.name)
        taken = bring_in(opened, image, owner, progress, in_place=wanted.in_place)
        try:
            replaced = _attach(opened, wanted, options, key, taken.content)
        except BaseException:
            give_back(opened, vm.name, {key: taken.content})
            raise
    made = _filled(disk, taken.content, wanted.path)
    return Attached(vm=vm.name, disk=made, replaced=replaced, warnings=taken.warnings)


def _attach(opened: OpenCluster, wanted: AttachOptions, options: JsonObject, key: ContentKey, content: Content) -> bool:
    def plan(snapshot: ClusterSnapshot) -> StateChange:
        vm = find_vm(snapshot, wanted.vm, opened.directory)
        disk = _disk(snapshot, vm, wanted)
        filled = _filled(disk, content, wanted.path)
        return fill_disk_change(snapshot, vm, filled, content, verb=VERB, now=opened.clock.now())

    before = opened.edit(VERB, options, plan, locked=True)
    old = before.contents.get(key)
    if old is not None and not wanted.in_place:
        release_claims(opened.home, opened.name, wanted.vm, {key: old})
    return old is not None


def _disk(snapshot: ClusterSnapshot, vm: Vm, wanted: AttachOptions) -> Disk:
    for disk in vm.disks:
        if disk.name != wanted.disk:
            continue
        if vm.key_of(disk) in snapshot.contents and not wanted.replace:
            raise Conflict(
                f"disk `{disk.name}` of VM `{vm.name}` has content already",
                hint="`--replace` replaces it; `blixard cluster undo` brings the old content back",
            )
        return disk
    names = ", ".join(f"`{disk.name}`" for disk in vm.disks) or "none"
    raise NotFound(f"no disk `{wanted.disk}` in VM `{vm.name}`", hint=f"its disks: {names}")


def _filled(disk: Disk, content: Content, path: Path) -> Disk:
    return structs.replace(disk, size_bytes=content.size_bytes, format=content.format, source=str(path.absolute()))
