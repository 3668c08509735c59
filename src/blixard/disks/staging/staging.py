"""Records into disks: the import's side of `disks`.

Nothing here touches a disk in use: every image is written beside, under a key, and becomes part of a cluster by the
commit of `ops`. A kill at any moment leaves files that a later import of the same document goes on with.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from blixard import files
from blixard.closing import Closing
from blixard.disks.records.crew import Crew
from blixard.disks.records.locations import NOWHERE, Place
from blixard.disks.records.walk import RECORD_BYTES, Given, Load, RecordWalk
from blixard.disks.staging.sink import DiskSink
from blixard.disks.staging.space import SpaceCheck
from blixard.disks.staging.staged import StagedImage, StagedPlace
from blixard.errors import BlixardError, InternalError
from blixard.limits import DEFAULT, MIB, Limits
from blixard.model.structs import DiskFormat, ImageHead, Record

CHECKPOINT_BYTES = 256 * MIB
_UNSETTLED = 64
"""Images that wait, open, for their last sync: small disks arrive faster than a file system syncs."""


class Staged(Struct, frozen=True, kw_only=True):
    """A disk that stands whole and durable at `path`; the caller renames it into place."""

    path: Path
    format: DiskFormat
    size_bytes: int
    data_bytes: int
    digest: str | None
    """Of the image, as the caller gave it to `end`."""


class Staging(Closing):
    """Stages a document's images: `begin`, `put` for each record, `end`; at last `finish`. Records in document order.

    Args:
        folder: `.incoming/<key>/`, made when it is not there. One staging at a time: the caller holds its lock.
        threads: workers, at least 1.
        limits: the bounds in force.
        skip_damaged: a damaged record costs its image (`damaged`), and those that refer to it, not the import.
        resume: go on with what an earlier run left in `folder`; else it starts anew.
        want: False for an image that nobody takes: its records are checked, and kept aside while references may need
            them. Asked when an image begins, when it has ended and at `finish`.
        needed: False for the digest of a record that no wanted image refers to: it is not even kept aside.
        checkpoint_bytes: after so many staged bytes they are made durable and their bits are set.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int,
        limits: Limits = DEFAULT,
        skip_damaged: bool = False,
        resume: bool = False,
        want: Callable[[int], bool] = lambda _image: True,
        needed: Callable[[bytes], bool] = lambda _digest: True,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
    ) -> None:
        if not folder.is_dir():
            files.make_dir(folder)
        self._folder = folder
        self._limits = limits
        self._resume = resume
        self._want = want
        self._needed = needed
        self._aside: set[int] = set()
        self._lost: set[int] = set()
        self._checkpoint_bytes = checkpoint_bytes
        self._images: dict[int, StagedImage] = {}
        self._fresh_bytes = 0
        self._fresh_lock = threading.Lock()
        self._settler = Crew(1, weight=_UNSETTLED, name="settle")
        self._sink = DiskSink(
            self._images,
            space=SpaceCheck(lambda: files.free_bytes(folder), limits, str(folder)),
            folder=folder,
            skip_damaged=skip_damaged,
            written=self._written,
            ready=self._complete,
        )
        self._walk = RecordWalk(self._sink, threads=threads, limits=limits, folder=folder, skip_damaged=skip_damaged)

    @property
    def decoded(self) -> int:
        """Records that were decoded; the other data records were there already."""
        return self._sink.decoded

    @property
    def reused(self) -> int:
        """Records that an earlier run had written, and whose bytes were right."""
        return self._sink.reused

    @property
    def damaged(self) -> frozenset[int]:
        """Images that hold a damaged record or refer to one, or were lost; complete after `finish`."""
        return frozenset(number for number, image in self._images.items() if image.damaged)

    def begin(self, image: int, head: ImageHead | None) -> None:
        """An image's records come next. `head` None: format and size come after them, so it is staged raw.

        Raises:
            StorageError, LimitExceeded, MalformedExport: it cannot be staged.
        """
        if image in self._images or image in self._aside:
            raise InternalError(f"image `{image}` was begun twice")
        if not self._want(image):
            self._aside.add(image)
            return
        place = StagedPlace(folder=self._folder, key=self._folder.name, image=image)
        self._images[image] = StagedImage(place, head, self._limits, resume=self._resume)

    def put(self, image: int, position: int, record: Record, load: Load | None, *, text_bytes: int = 0) -> None:
        """Take the next record of an image.

        Args:
            image: which was begun.
            position: of the record in its image, from 0.
            record: what the document says.
            load: gives the zstd frame, in a worker; None for a reference.
            text_bytes: what `load` holds on to, for the bound on memory; 0 is as much as the record's length.

        Raises:
            DigestMismatch: a record is damaged, and `skip_damaged` is off.
            MalformedExport, LimitExceeded: the record breaks a rule.
            StorageError: no space, or an I/O error.
        """
        # what a lost image still brings is nobody's, and may be referred to
        given = Given(NOWHERE if image in self._lost else image, position, record)
        aside = image in self._aside
        if not aside:
            self._images[image].take(record)
            self._sink.expect(image)
        if load is None:
            self._walk.refer(given)
            return
        if aside or record.offset is None:
            place = self._sink.place_aside(record, kept=self._needed(record.digest))
        else:
            place = Place(image, record.offset, record.length)
        self._walk.carry(given, place, load, text_bytes)

    def lose(self, image: int) -> None:
        """Part of an image cannot be read, so it becomes no disk. Its records stay: others may refer to them."""
        self._lost.add(image)
        if image in self._aside:
            return
        self._aside.add(image)
        staged = self._images.get(image)
        if staged is not None:
            staged.damaged = True
            if staged.head is not None:
                self._sink.received(image, staged.head)

    def uses(self, image: int, digest: bytes) -> bool:
        """True when a record of an image ends up in a disk, there or by way of a reference."""
        return image not in self._aside or self._needed(digest)

    def takes(self, image: int) -> bool:
        """True for an image that is begun and becomes a disk."""
        return image not in self._aside

    def holds(self, image: int, position: int) -> bool:
        """True when an earlier run wrote this record, as far as its bitmap says."""
        return image not in self._aside and image in self._images and self._images[image].holds(position)

    def end(self, image: int, head: ImageHead, *, digest: str | None = None) -> None:
        """The last record of an image was given; it is completed in the background.

        Raises:
            MalformedExport, LimitExceeded: what was staged does not fit `head`.
        """
        if image in self._aside:
            return
        staged = self._images[image]
        staged.receive(head)
        staged.digest = digest
        self._sink.received(image, head)

    def drain(self) -> None:
        """Wait until every record that was given is written.

        Raises:
            as `put`.
        """
        self._walk.drain()
        self._settler.drain()

    def finish(self) -> dict[int, Staged]:
        """Wait until every wanted image stands whole and durable; drop the others.

        Raises:
            as `put`.
        """
        self.drain()
        result: dict[int, Staged] = {}
        for number, image in self._images.items():
            if image.final is None and not image.damaged:
                raise InternalError(f"image `{number}` was not ended")
            image.close()
            if image.damaged or not self._want(number):
                image.place.clear()
            elif image.final is not None:
                result[number] = Staged(
                    path=image.path,
                    format=image.format,
                    size_bytes=image.final.size_bytes,
                    data_bytes=image.data_bytes,
                    digest=image.digest,
                )
        self.close()
        files.fsync_dir(self._folder)
        return result

    def close(self) -> None:
        """End the threads and keep what was staged for a later run; raises nothing."""
        self._walk.close()
        self._settler.close()
        for image in self._images.values():
            # what is not made durable here is only decoded again
            with contextlib.suppress(BlixardError):
                image.checkpoint()
            image.close()
        self._sink.close()

    def _complete(self, image: int) -> None:
        """Every record of an image is written. Runs in whatever thread was last."""
        self._settler.submit(lambda: self._images[image].complete(wanted=self._want(image)), 1)

    def _written(self, image: int, amount: int) -> None:
        """Count `amount` written bytes of an image; after enough of them a checkpoint is made. Runs in workers."""
        with self._fresh_lock:
            self._fresh_bytes += max(amount, RECORD_BYTES)
            if self._fresh_bytes < self._checkpoint_bytes:
                return
            self._fresh_bytes = 0
        self._settler.submit(self._images[image].checkpoint, 0)
