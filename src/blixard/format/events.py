"""What a reader tells about a document, in the order in which it finds it.

Frozen values and no callbacks, so that the one who imports can stop at any of them, and so that what was checked is
what is used.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from blixard.model.incoming import IncomingState
from blixard.model.structs import ImageHead, ImageTail, Integrity, JsonObject, Record


class StateRead(Struct, frozen=True):
    """Everything but telemetry and images; once: before the first image when the eight keys precede `images`."""

    state: IncomingState


class TelemetryRead(Struct, frozen=True):
    """One element of `telemetry`; `key` is `resourceMetrics` or `resourceLogs`."""

    key: str
    element: JsonObject


class ImageBegun(Struct, frozen=True):
    """The records of image number `image` follow; `head` is None when a needed key comes behind them."""

    image: int
    head: ImageHead | None


class RecordRead(Struct, frozen=True):
    """One record. `text` is the base64 text of its zstd frame, undecoded and unchecked (`records.frame` does both)."""

    image: int
    position: int
    record: Record
    text: str | None


class ImageRead(Struct, frozen=True):
    """The image is complete; `tail` as the file states it, `digest` as its content says."""

    image: int
    head: ImageHead
    tail: ImageTail
    digest: str


class ImageLost(Struct, frozen=True):
    """Image number `image` cannot be had whole: at `position` of its records something could not be read.

    Instead of what of `ImageBegun` and `ImageRead` has not come yet; only when damage is skipped. Records of it may
    still follow: others may refer to them.
    """

    image: int
    position: int
    problem: str


class IntegrityReport(Struct, frozen=True, kw_only=True):
    """How a document compares with what it says about itself. The reader reports; what follows from it is policy.

    `edited` names the sections that do not match, and `integrity` when that section contradicts itself; a section that
    is missing or was added counts. `damaged_images`: the image's own digest or the one in `integrity` does not match.
    `only_images`: nothing but these images differs, so the document is the claimed one without them.
    """

    compressed: bool
    present: bool
    document: str
    claimed: str | None = None
    edited: tuple[str, ...] = ()
    damaged_images: tuple[int, ...] = ()
    only_images: bool = False
    integrity: Integrity

    @property
    def intact(self) -> bool:
        """True when the document states its digests, and all of them are those of its content."""
        return self.present and not self.edited and not self.damaged_images and self.claimed == self.document


class DocumentEnd(Struct, frozen=True):
    """The end of the document was reached and proven. `late`: unknown top-level keys that stood behind `images`."""

    report: IntegrityReport
    late: JsonObject = msgspec.field(default_factory=dict)


Event = StateRead | TelemetryRead | ImageBegun | RecordRead | ImageRead | ImageLost | DocumentEnd
