"""The disk or file whose content each image of a document is.

`disks[].image` and `files[].image` are the only link (FORMAT.md section 2): an image's own names are for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, UnsetType

from blixard.model.incoming import IncomingVm
from blixard.model.structs import ContentKind, Disk, File


class Owner(Struct, frozen=True):
    """The disk or file that an image is the content of."""

    vm: str
    name: str
    kind: ContentKind = ContentKind.DISK

    @property
    def label(self) -> str:
        """As people write it: `web-1/root`."""
        return f"{self.vm}/{self.name}"


def linked(vms: Mapping[str, IncomingVm]) -> Iterator[tuple[int, Owner, Disk | File]]:
    """Each image that has an owner: its number, its owner, and what the VM says of it."""
    for name, incoming in vms.items():
        for part in incoming.vm.parts:
            if not isinstance(part.image, UnsetType):
                yield part.image, Owner(name, part.name, part.kind), part


def owners(vms: Mapping[str, IncomingVm]) -> dict[int, Owner]:
    """The owner of each image that has one, by image number."""
    return {image: owner for image, owner, _ in linked(vms)}
