"""What goes into a document: which VMs, which images in which order, and what will be missing.

Decided before the first byte is written, from one snapshot, so that the numbers in `disks[].image` and the images that
follow cannot disagree, whatever happens to the disks meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec import Struct, structs

from blixard.model.structs import (
    ClusterSnapshot,
    ContentKey,
    ContentKind,
    Disk,
    DiskFormat,
    File,
    ImageHead,
    Vm,
)
from blixard.plan.scope import Scope
from blixard.ports import FoundDisk, Hypervisor


class ImageSource(Struct, frozen=True):
    """One image to come: its head as it will be written, and its content. `failed` says why that cannot be had."""

    head: ImageHead
    disk: FoundDisk | None
    failed: str | None = None


class Omitted(Struct, frozen=True):
    """Content that a VM refers to and the document does not hold."""

    vm: str
    name: str
    kind: ContentKind
    why: str


class Selection(Struct, frozen=True):
    """The state part of a document and the images that follow it; `images[n]` is what `image: n` names."""

    vms: tuple[Vm, ...]
    images: tuple[ImageSource, ...]
    omitted: tuple[Omitted, ...]


Part = TypeVar("Part", Disk, File)


def select(snapshot: ClusterSnapshot, hypervisor: Hypervisor, scope: Scope, *, images: bool) -> Selection:
    """Choose and number everything.

    Args:
        snapshot: the state.
        hypervisor: finds disks as they are now; one that cannot be read becomes a failed image.
        scope: what is selected.
        images: whether the content of disks and large files goes in.
    """
    chosen = [vm for _, vm in sorted(snapshot.vms.items()) if scope.selects_vm(vm)]
    if not images:
        why = "images were not asked for"
        omitted = (Omitted(vm.name, part.name, part.kind, why) for vm in chosen for part in vm.parts if not part.inline)
        return Selection(tuple(chosen), (), tuple(omitted))
    keys = (vm.key_of(part) for vm in chosen for part in vm.parts if not part.inline)
    found = hypervisor.disks({key: snapshot.contents[key] for key in keys if key in snapshot.contents})
    numbering = _Numbering(snapshot, found)
    vms = tuple(numbering.number(vm) for vm in chosen)
    return Selection(vms, tuple(numbering.images), tuple(numbering.omitted))


def used_bytes(selection: Selection) -> int:
    """Bytes that the disks of a document really take: at most this much data goes in."""
    return sum(source.disk.allocated_bytes for source in selection.images if source.disk is not None)


class _Numbering:
    """Gives the images their numbers, in the order in which the VMs name them."""

    def __init__(self, snapshot: ClusterSnapshot, found: Mapping[ContentKey, FoundDisk]) -> None:
        self._snapshot = snapshot
        self._found = found
        self.images: list[ImageSource] = []
        self.omitted: list[Omitted] = []

    def number(self, vm: Vm) -> Vm:
        """The VM with `image` set on everything whose content goes in."""
        disks = tuple(self._with_image(vm, disk) for disk in vm.disks)
        inline_or_numbered = tuple(file if file.inline else self._with_image(vm, file) for file in vm.files)
        return structs.replace(vm, disks=disks, files=inline_or_numbered)

    def _with_image(self, vm: Vm, part: Part) -> Part:
        found = self._found.get(vm.key_of(part))
        if found is None:
            return self._without_content(vm, part)
        recorded = found.content
        size = recorded.size_bytes if found.failed else found.size_bytes
        head = ImageHead(vm=vm.name, disk=part.name, format=recorded.format, size_bytes=size)
        self.images.append(ImageSource(head, found, found.failed))
        return structs.replace(part, size_bytes=size, image=len(self.images) - 1)

    def _without_content(self, vm: Vm, part: Part) -> Part:
        """A disk that lies elsewhere was asked for and is missing; one that never had content is only told."""
        if vm.node_id in (None, self._snapshot.self_node):
            self.omitted.append(Omitted(vm.name, part.name, part.kind, "it has no content in this cluster"))
            return part
        size = part.size_bytes if isinstance(part.size_bytes, int) else 0
        shape = part.format if isinstance(part, Disk) else DiskFormat.RAW
        head = ImageHead(vm=vm.name, disk=part.name, format=shape, size_bytes=size)
        failed = f"it is on node {vm.node_id}, which cannot be asked"
        self.images.append(ImageSource(head, None, failed))
        return structs.replace(part, image=len(self.images) - 1)
