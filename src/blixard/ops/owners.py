"""Whose content each image of a document is.

`disks[].image` and `files[].image` are the only link (FORMAT.md section 2): an image's own names are for people.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, UnsetType

from blixard.model.incoming import IncomingVm
from blixard.model.structs import ContentKind


class Owner(Struct, frozen=True):
    """The disk or file that an image is the content of."""

    vm: str
    name: str
    kind: ContentKind = ContentKind.DISK

    @property
    def label(self) -> str:
        """As people write it: `web-1/root`."""
        return f"{self.vm}/{self.name}"


def owners(vms: Mapping[str, IncomingVm]) -> dict[int, Owner]:
    """The owner of each image that has one, by image number."""
    found: dict[int, Owner] = {}
    for name, incoming in vms.items():
        for disk in incoming.vm.disks:
            if not isinstance(disk.image, UnsetType):
                found[disk.image] = Owner(name, disk.name)
        for file in incoming.vm.files:
            if not isinstance(file.image, UnsetType):
                found[file.image] = Owner(name, file.name, ContentKind.FILE)
    return found
