"""What the tail of a seekable document says before it was read: a name for what is staged, digests of its images.

A hint and nothing more: everything in it is proven at the end of the document, and a hint that was wrong ends the
import.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from blixard.format.survey import Survey
from blixard.limits import Limits
from blixard.model.structs import EMPTY
from blixard.ports import Input


class Foreknown(Struct, frozen=True):
    """Digest of the document, and of its images by index; bytes of data by image index.

    `carried_bytes` is what the records come to that each image carries itself: what a fetch brings.
    """

    document: str | None = None
    image_digests: Mapping[int, str] = EMPTY
    data_bytes: Mapping[int, int] = EMPTY
    carried_bytes: Mapping[int, int] = EMPTY


NOTHING = Foreknown()


def foreknown_of(source: Input, limits: Limits) -> Foreknown:
    """What is known beforehand of a file; nothing of `source.stream` is taken."""
    from blixard.format.skeleton import read_skeleton

    found = read_skeleton(source, limits=limits)
    return NOTHING if found is None else foreknown_from(found[1])


def foreknown_from(found: Survey) -> Foreknown:
    """What a survey says beforehand; nothing when the document is not what it says that it is."""
    if found.report.claimed is None or found.report.edited:
        return NOTHING
    images = found.images.values()
    return Foreknown(
        document=found.report.claimed,
        image_digests={image.image: image.tail.digest for image in images},
        data_bytes={image.image: image.tail.data_bytes for image in images},
        carried_bytes={image.image: image.carried_bytes for image in images if image.carried_bytes},
    )
