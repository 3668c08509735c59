"""What goes into a document: which VMs, which images in which order, and what will be missing.

Decided before the first byte is written, from one snapshot, so that the numbers in `disks[].image` and the images that
follow cannot disagree, whatever happens to the disks meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, structs

from blixard.errors import BlixardError
from blixard.home import ClusterDir
from blixard.model.structs import (
    ClusterSnapshot,
    Content,
    ContentKey,
    ContentKind,
    Disk,
    DiskFormat,
    File,
    ImageHead,
    Vm,
)
from blixard.plan.scope import Scope
from blixard.ports import DiskReader


class ImageSource(Struct, frozen=True):
    """One image to come: its head as it will be written, and where the content lies. `failed` says why it cannot."""

    head: ImageHead
    content: Content | None
    path: Path | None
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
OpenDisk = Callable[[Path, Content], DiskReader]


def select(
    snapshot: ClusterSnapshot, cluster: ClusterDir, scope: Scope, *, images: bool, open_disk: OpenDisk
) -> Selection:
    """Choose and number everything.

    Args:
        snapshot: the state.
        cluster: where its disks lie.
        scope: what is selected.
        images: whether the content of disks and large files goes in.
        open_disk: opens a disk to learn its true size; a disk that cannot be opened becomes a failed image.
    """
    chosen = [vm for _, vm in sorted(snapshot.vms.items()) if scope.selects_vm(vm)]
    if not images:
        omitted = [_left_out(vm, part) for vm in chosen for part in _parts(vm)]
        return Selection(tuple(chosen), (), tuple(omitted))
    numbering = _Numbering(snapshot, cluster, open_disk)
    vms = tuple(numbering.number(vm) for vm in chosen)
    return Selection(vms, tuple(numbering.images), tuple(numbering.omitted))


def used_bytes(selection: Selection, allocated: Callable[[Path], int]) -> int:
    """Bytes that the disks of a document really take: at most this much data goes in."""
    return sum(allocated(source.path) for source in selection.images if source.failed is None and source.path)


def _parts(vm: Vm) -> list[Disk | File]:
    return [*vm.disks, *(file for file in vm.files if not file.inline)]


def _kind(part: Disk | File) -> ContentKind:
    return ContentKind.DISK if isinstance(part, Disk) else ContentKind.FILE


def _left_out(vm: Vm, part: Disk | File) -> Omitted:
    return Omitted(vm.name, part.name, _kind(part), "images were not asked for")


class _Numbering:
    def __init__(self, snapshot: ClusterSnapshot, cluster: ClusterDir, open_disk: OpenDisk) -> None:
        self._snapshot = snapshot
        self._cluster = cluster
        self._open_disk = open_disk
        self.images: list[ImageSource] = []
        self.omitted: list[Omitted] = []

    def number(self, vm: Vm) -> Vm:
        """The VM with `image` set on everything whose content goes in."""
        disks = tuple(self._with_image(vm, disk) for disk in vm.disks)
        inline_or_numbered = tuple(file if file.inline else self._with_image(vm, file) for file in vm.files)
        return structs.replace(vm, disks=disks, files=inline_or_numbered)

    def _with_image(self, vm: Vm, part: Part) -> Part:
        content = self._snapshot.contents.get(ContentKey(vm.id or "", _kind(part), part.name))
        if content is None:
            return self._without_content(vm, part)
        source = self._examine(vm, part, content)
        self.images.append(source)
        return structs.replace(part, size_bytes=source.head.size_bytes, image=len(self.images) - 1)

    def _without_content(self, vm: Vm, part: Part) -> Part:
        """A disk that lies elsewhere was asked for and is missing; one that never had content is only told."""
        if vm.node_id in (None, self._snapshot.self_node):
            self.omitted.append(Omitted(vm.name, part.name, _kind(part), "it has no content in this cluster"))
            return part
        size = part.size_bytes if isinstance(part.size_bytes, int) else 0
        shape = part.format if isinstance(part, Disk) else DiskFormat.RAW
        head = ImageHead(vm=vm.name, disk=part.name, format=shape, size_bytes=size)
        failed = f"it is on node {vm.node_id}, which cannot be asked"
        self.images.append(ImageSource(head, None, None, failed))
        return structs.replace(part, image=len(self.images) - 1)

    def _examine(self, vm: Vm, part: Disk | File, content: Content) -> ImageSource:
        """Open the disk to learn its size now: what was attached in place may have grown since."""
        path = self._cluster.content_path(content)
        head = ImageHead(vm=vm.name, disk=part.name, format=content.format, size_bytes=content.size_bytes)
        try:
            reader = self._open_disk(path, content)
        except BlixardError as error:
            return ImageSource(head, content, path, error.message)
        size = reader.size_bytes
        reader.close()
        return ImageSource(structs.replace(head, size_bytes=size), content, path)
