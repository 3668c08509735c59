"""The images of a document on their way into staged disks, shown to whoever waits; nothing here knows a cluster.

However it ends, the workers end with it: one that waits for a frame hears first that none may ever come.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path

from blixard.closing import Closing
from blixard.disks.records.walk import Rejectable
from blixard.disks.staging.staging import CHECKPOINT_BYTES, Staging
from blixard.format.events import ImageBegun, ImageLost, ImageRead, RecordRead
from blixard.limits import MIB
from blixard.ops.importing.arrival import Arriving
from blixard.ops.importing.phases import Arrived, ImageEvent, Job
from blixard.plan.values import ImportPlan

_FETCHED_CHECKPOINT_BYTES = 8 * MIB
"""What a kill may cost once more when every byte has come over a network."""


def why_missing(event: ImageRead) -> str | None:
    """Why the document does not hold this image, when it says so itself."""
    return None if event.tail.failed is None else f"it could not be exported: {event.tail.failed}"


class TakenImages:
    """Which images are taken when the plan comes after them: all of them until then."""

    def __init__(self) -> None:
        self._images: Container[int] | None = None

    def settle(self, plan: ImportPlan) -> None:
        """From now on, only the images of `plan` are taken."""
        self._images = plan.images()

    def __call__(self, image: int) -> bool:
        """True for an image that is taken."""
        return self._images is None or image in self._images


class Intake(Closing):
    """Stages the images of a document.

    Args:
        job: the import.
        folder: of this import alone.
        want: False for an image that is not taken; asked again when the last has come.
        needed: False for the digest of a record that no image that is taken refers to; without it every record may be.
        resume: go on with what lies in the folder.

    Raises:
        StorageError: the folder cannot be made.
    """

    def __init__(
        self,
        job: Job,
        folder: Path,
        want: Callable[[int], bool],
        needed: Callable[[bytes], bool] = lambda _digest: True,
        *,
        resume: bool = False,
    ) -> None:
        self._source = job.source
        self._progress = job.progress
        self._staging = Staging(
            folder,
            threads=job.request.threads,
            limits=job.request.limits,
            skip_damaged=job.request.skip_damaged,
            resume=resume,
            want=want,
            needed=needed,
            checkpoint_bytes=CHECKPOINT_BYTES if job.source.at_hand else _FETCHED_CHECKPOINT_BYTES,
        )
        self._failed: dict[int, str] = {}
        self._damaged: dict[int, str] = {}
        self._titles: dict[int, str] = {}
        self._at = 0
        self._shown = False

    def take(self, event: ImageEvent) -> None:
        """The next event of the source.

        Raises:
            StorageError: no space, or an I/O error.
            DigestMismatch, MalformedExport: a record is damaged, or breaks a rule.
        """
        match event:
            case ImageBegun():
                self._begin(event)
            case RecordRead():
                self._record(event)
            case ImageRead():
                self._end(event)
            case ImageLost():
                self._lose(event)

    def finish(self) -> Arrived:
        """Wait until every wanted image stands whole and durable.

        Raises:
            as `take`.
        """
        disks = self._staging.finish()
        self._progress.end()
        for image in self._staging.damaged:
            self._damaged.setdefault(image, "a record of it does not match its digest")
        return Arrived(disks, self._failed, self._damaged, self._titles, resumed=self._staging.reused > 0)

    def close(self) -> None:
        """End the threads; what they have written stays."""
        self._staging.close()

    def __exit__(self, *raised: object) -> None:
        if raised[0] is not None:
            self._source.stop()
        self.close()

    def _begin(self, event: ImageBegun) -> None:
        self._staging.begin(event.image, event.head)
        self._at, self._shown = 0, self._source.at_hand and event.head is not None
        if event.head is not None:
            self._titles[event.image] = f"{event.head.vm}/{event.head.disk}"
            if self._shown:
                self._progress.begin(self._titles[event.image], event.head.size_bytes)

    def _record(self, event: RecordRead) -> None:
        at_hand = self._source.at_hand
        if not at_hand and not self._staging.uses(event.image, event.record.digest):
            return
        held = self._staging.holds(event.image, event.position)
        load = self._source.load(event, held=held)
        if not at_hand and isinstance(load, Rejectable) and self._staging.takes(event.image):
            if held:
                self._progress.advance(event.record.length)
            else:
                load = Arriving(load, event.record, self._progress)
        text_bytes = 0 if event.text is None else len(event.text)
        self._staging.put(event.image, event.position, event.record, load, text_bytes=text_bytes)
        if self._shown and event.record.offset is not None:
            end = event.record.offset + event.record.length
            self._progress.advance(end - self._at)
            self._at = end

    def _end(self, event: ImageRead) -> None:
        self._titles[event.image] = f"{event.head.vm}/{event.head.disk}"
        self._staging.end(event.image, event.head, digest=event.digest)
        why = why_missing(event)
        if why is not None:
            self._failed[event.image] = why
        if event.tail.digest != event.digest:
            self._damaged[event.image] = "it does not match its own digest"
        if self._shown:
            self._progress.advance(event.head.size_bytes - self._at)
            self._progress.end()

    def _lose(self, event: ImageLost) -> None:
        self._staging.lose(event.image)
        self._damaged[event.image] = f"record {event.position}: {event.problem}"
        if self._shown and event.image in self._titles:
            self._progress.end()
        self._shown = False
