"""What a VM says of its disk, held against the image that the disk names: a VM must not start on another disk.

`vm` and `disk` of an image are for people, `disks[].image` is the only link (FORMAT.md section 2); so an image with
another number than it had would else go unnoticed.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from blixard.errors import MalformedExport
from blixard.model.structs import Disk, DiskFormat, File


class Shape(Struct, frozen=True):
    """Format and virtual size of a disk; the size of a file may be left open."""

    format: DiskFormat
    size_bytes: int | UnsetType = UNSET


def stated_shape(part: Disk | File) -> Shape:
    """What a VM says of one of its disks or files."""
    return Shape(part.format if isinstance(part, Disk) else DiskFormat.RAW, part.size_bytes)


def check_agreement(label: str, stated: Shape, image: int, found: Shape) -> None:
    """Refuse an image that is another disk than the one that names it.

    Args:
        label: `VM/DISK`.
        stated: what the VM says.
        image: the image's number.
        found: what the image is.

    Raises:
        MalformedExport: naming both.
    """
    size = found.size_bytes if isinstance(stated.size_bytes, UnsetType) else stated.size_bytes
    if (stated.format, size) == (found.format, found.size_bytes):
        return
    raise MalformedExport(
        f"disk `{label}` is stated as `{stated.format}` of `{size}` bytes, its image `{image}` is `{found.format}` of "
        f"`{found.size_bytes}`",
        hint="set `format` and `size_bytes` of the disk to those of its image",
    )
