"""What the phases of an import hand to each other, in this order: `Read` and `Planned`, `Ready`, `Committed`.

Each is made of those before it, so nothing can be committed that was not planned, read to its end and held against its
digests. `Job` is what all of them are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from blixard.disks.staging.staging import Staged
from blixard.format.events import DocumentEnd, ImageBegun, ImageLost, ImageRead, IntegrityReport, RecordRead, StateRead
from blixard.home import Home
from blixard.model.incoming import IncomingState
from blixard.model.structs import EMPTY, JsonObject
from blixard.ops.importing.request import ImportRequest
from blixard.ops.importing.source import ImportSource
from blixard.ops.importing.target import HeldTarget, ImportTarget, Opening
from blixard.ops.importing.telemetry import TelemetrySpool
from blixard.plan.values import ImportPlan
from blixard.ports import Clock, Progress

Consent = Callable[[ImportPlan, ImportTarget], None]
"""Shown the plan before anything is written; raises RefusedError when the operator says no."""

ImageEvent = ImageBegun | RecordRead | ImageRead | ImageLost
Rest = Iterator[StateRead | ImageEvent | DocumentEnd]


class Job(Struct, frozen=True):
    """One import: what it is asked for, of which document, and what it has at hand. `began`: by the monotonic clock."""

    home: Home
    opening: Opening
    request: ImportRequest
    source: ImportSource
    telemetry: TelemetrySpool
    clock: Clock
    progress: Progress
    consent: Consent
    began: float


class StateFirst(Struct, frozen=True):
    """The beginning of a document in our own order: the state is known, and the images come next."""

    state: IncomingState
    rest: Rest


class ImagesFirst(Struct, frozen=True):
    """The beginning of a document in another order: the images come next, and the state behind them."""

    rest: Rest


class Ended(Struct, frozen=True):
    """The end of a document: the state, how its digests compare, and unknown keys that stood behind the images."""

    state: IncomingState
    report: IntegrityReport
    late: JsonObject


class Read(Ended, frozen=True):
    """A whole document that may be imported as it is, and the warnings that it deserves."""

    warnings: tuple[str, ...]


class Planned(Struct, frozen=True):
    """What will be done to a target that is held: nothing forbids it, and the operator was asked."""

    target: HeldTarget
    state: IncomingState
    plan: ImportPlan


class Arrived(Struct, frozen=True):
    """What became of a document's images, by index.

    Attributes:
        disks: the wanted ones, whole and durable.
        failed: those that the document says it does not hold, and why.
        damaged: those that are not what the document says they are, and why.
        titles: `VM/DISK` of each.
        resumed: an earlier import had staged some of it.
    """

    disks: Mapping[int, Staged] = EMPTY
    failed: Mapping[int, str] = EMPTY
    damaged: Mapping[int, str] = EMPTY
    titles: Mapping[int, str] = EMPTY
    resumed: bool = False


class Ready(Struct, frozen=True):
    """The document was the one that the plan is of, and every disk that the plan names is staged.

    What could not be taken is left out of it.
    """

    target: HeldTarget
    plan: ImportPlan
    read: Read
    arrived: Arrived


class Committed(Struct, frozen=True):
    """The import is done: its new revision, and the undo entry that takes it back."""

    import_id: str
    revision: int
    undo: int | None
