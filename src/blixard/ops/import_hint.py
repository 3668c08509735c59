"""What the tail of a seekable document says before it was read: a name for what is staged, digests of its images.

A hint and nothing more: everything in it is proven at the end of the document, and a hint that was wrong ends the
import.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, Struct

from blixard.model.structs import EMPTY
from blixard.place import Input


class Hint(Struct, frozen=True):
    """Digest of the document, and of its images by index; bytes of data by image index."""

    document: str | None = None
    image_digests: Mapping[int, str] = EMPTY
    data_bytes: Mapping[int, int] = EMPTY


NOTHING = Hint()


def hint_of(source: Input) -> Hint:
    """What is known beforehand; the stream stands at its beginning again."""
    if not source.seekable:
        return NOTHING
    from blixard.format.index import open_fast

    view = open_fast(source.stream)
    source.stream.seek(0)
    if view is None or view.integrity is None:
        return NOTHING
    images = view.integrity.images
    return Hint(
        document=view.integrity.document,
        image_digests={} if images is UNSET else dict(enumerate(images)),
        data_bytes={number: row.data_bytes for number, row in enumerate(view.index.images)},
    )
