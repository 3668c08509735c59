"""An import's images on their way in: which folder they are staged in, and how they become files of the cluster.

Nothing is overwritten: a staged disk gets a new name under `disks/`, and only the state's transaction makes it live.
What is staged under a document's digest stays for the next import of it; under an import's own id it goes with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import structs

from blixard import files
from blixard.disks.records.walk import Rejectable
from blixard.disks.staging.staging import CHECKPOINT_BYTES, Staged, Staging
from blixard.errors import InternalError, StorageError
from blixard.format.events import ImageBegun, ImageLost, ImageRead, RecordRead
from blixard.model.structs import Content
from blixard.ops.importing.arrival import Arriving, announce
from blixard.ops.importing.foreknown import Foreknown
from blixard.ops.importing.referred import ReferredRecords
from blixard.ops.importing.request import ImportRequest
from blixard.ops.importing.source import ImportSource
from blixard.ops.keeping.leftovers import forget_staged
from blixard.ops.keeping.stamps import stamp_of
from blixard.plan.values import ImportPlan
from blixard.ports import Clock, ImportRow, Progress
from blixard.site.open_cluster import OpenCluster

ImageEvent = ImageBegun | RecordRead | ImageRead | ImageLost


def why_missing(event: ImageRead) -> str | None:
    """Why the document does not hold this image, when it says so itself."""
    return None if event.tail.failed is None else f"it could not be exported: {event.tail.failed}"


class StagedImport:
    """Takes the image events of one document, and keeps the books of its import.

    Attributes:
        row: of this import; it is in the books while anything is staged in a cluster.
        failed: images that the document says it does not hold, and why.
        damaged: images that are not what the document says they are, and why; complete after `finish`.
        disks: every wanted image, whole and durable; after `finish`.
    """

    def __init__(
        self, row: ImportRow, folder: Path, staging: Staging, progress: Progress, cluster: OpenCluster | None
    ) -> None:
        self.row = row
        self.failed: dict[int, str] = {}
        self.damaged: dict[int, str] = {}
        self.disks: dict[int, Staged] = {}
        self._folder = folder
        self._staging = staging
        self._progress = progress
        self._cluster = cluster
        self._titles: dict[int, str] = {}
        self._at = 0
        self._shown = False
        self._done = False

    def take(self, event: ImageEvent, source: ImportSource) -> None:
        """The next event of `source`, which knows how to get a record's frame.

        Raises:
            StorageError: no space, or an I/O error.
            DigestMismatch, MalformedExport: a record is damaged, or breaks a rule.
        """
        match event:
            case ImageBegun():
                self._begin(event, shown=source.at_hand)
            case RecordRead():
                self._record(event, source)
            case ImageRead():
                self._end(event)
            case ImageLost():
                self._lose(event)

    def finish(self) -> None:
        """Wait until every wanted image stands whole and durable.

        Raises:
            as `take`.
        """
        self.disks = self._staging.finish()
        self._progress.end()
        for image in self._staging.damaged:
            self.damaged.setdefault(image, "a record of it does not match its digest")

    @property
    def resumed(self) -> bool:
        """True when an earlier import had staged some of it; known after `finish`."""
        return self._staging.reused > 0

    @property
    def staged_bytes(self) -> int:
        """Bytes of data in the disks that came in."""
        return sum(disk.data_bytes for disk in self.disks.values())

    def title(self, image: int) -> str:
        """`VM/DISK` of an image."""
        return self._titles.get(image, str(image))

    def move_in(self, cluster: OpenCluster, images: Container[int]) -> dict[int, Content]:
        """Give the disks of `images` their names under `disks/`; the row names them first, so that no sweep takes one.

        Raises:
            StorageError: some may have their names; `close` takes them back.
        """
        self._cluster = cluster
        directory = cluster.directory.disks
        disks = {image: disk for image, disk in self.disks.items() if image in images}
        names = {image: f"{self.row.id}-{image}.{disk.format.value}" for image, disk in disks.items()}
        self.row = structs.replace(self.row, files=tuple(names.values()))
        cluster.books.begin_import(self.row)
        contents = {}
        for image, disk in disks.items():
            path = directory / names[image]
            files.rename(disk.path, path)
            contents[image] = Content(
                file=path.name,
                size_bytes=disk.size_bytes,
                format=disk.format,
                digest=disk.digest,
                stamp=stamp_of(path),
            )
        files.fsync_dir(directory)
        return contents

    def committed(self) -> None:
        """The state names the disks now: what is left of the staging goes."""
        self._done = True
        self._forget()

    def give_up(self) -> None:
        """The document cannot be imported, now or later: what was staged of it goes."""
        self._staging.close()
        self._done = True
        self._forget()

    def close(self) -> None:
        """End the threads; what nobody could go on with goes, the rest is kept for the next import. Harmless twice."""
        self._staging.close()
        if self._done:
            return
        self._done = True
        with suppress(StorageError):  # the failure before is the one to tell; the next import takes back what is left
            self._leave()

    def _leave(self) -> None:
        """Whatever ended the import, its transaction may have been done: only the store knows."""
        cluster = self._cluster
        if cluster is not None and any(row.done for row in cluster.books.imports() if row.id == self.row.id):
            self._forget()
            return
        if cluster is not None and self.row.files:
            _take_back(cluster, self.row, self._folder)
            self.row = structs.replace(self.row, files=())
            cluster.books.begin_import(self.row)
        if self.row.key == self.row.id:
            self._forget()

    def _begin(self, event: ImageBegun, *, shown: bool) -> None:
        self._staging.begin(event.image, event.head)
        self._at, self._shown = 0, shown and event.head is not None
        if event.head is not None:
            self._titles[event.image] = f"{event.head.vm}/{event.head.disk}"
            if shown:
                self._progress.begin(self._titles[event.image], event.head.size_bytes)

    def _record(self, event: RecordRead, source: ImportSource) -> None:
        if not source.at_hand and not self._staging.uses(event.image, event.record.digest):
            return
        held = self._staging.holds(event.image, event.position)
        load = source.load(event, held=held)
        if not source.at_hand and isinstance(load, Rejectable) and self._staging.takes(event.image):
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
            self.failed[event.image] = why
        if event.tail.digest != event.digest:
            self.damaged[event.image] = "it does not match its own digest"
        if self._shown:
            self._progress.advance(event.head.size_bytes - self._at)
            self._progress.end()

    def _lose(self, event: ImageLost) -> None:
        self._staging.lose(event.image)
        self.damaged[event.image] = f"record {event.position}: {event.problem}"
        if self._shown and event.image in self._titles:
            self._progress.end()
        self._shown = False

    def _forget(self) -> None:
        """What cannot be removed now, `cluster gc` removes."""
        with suppress(StorageError):
            files.remove_tree(self._folder, beneath=self._folder.parent)
            if self._cluster is not None:
                self._cluster.books.forget_import(self.row.id)


class TakenImages:
    """Which images the plan takes: all of them until there is a plan."""

    def __init__(self) -> None:
        self._images: frozenset[int] | None = None

    def settle(self, plan: ImportPlan) -> None:
        """There is a plan now."""
        self._images = frozenset(plan.images())

    def __call__(self, image: int) -> bool:
        """True for an image that is taken."""
        return self._images is None or image in self._images


Taking = tuple[TakenImages, ReferredRecords]
"""Which images are taken, and which records of the others are needed for them."""


def stage_loose(folder: Path, taking: Taking, request: ImportRequest, progress: Progress, clock: Clock) -> StagedImport:
    """Stage before the target is known: a document whose state comes last. Nobody can go on with it."""
    import_id = uuid.uuid4().hex
    row = ImportRow(id=import_id, key=import_id, started_at=clock.now())
    staging = _staging(folder, taking, request, resume=False)
    return StagedImport(row, folder, staging, progress, None)


def stage_in_cluster(
    cluster: OpenCluster,
    foreknown: Foreknown,
    taking: Taking,
    request: ImportRequest,
    progress: Progress,
    *,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
) -> StagedImport:
    """Stage in the cluster's own folder, and go on where an import of the same document stopped.

    Raises:
        StorageError: the row or the folder cannot be made.
    """
    document = foreknown.document
    announce(progress, foreknown, taking[0])
    earlier = next((row for row in cluster.books.imports() if row.key == document and not row.done), None)
    import_id = uuid.uuid4().hex if earlier is None else earlier.id
    row = ImportRow(id=import_id, key=document or import_id, started_at=cluster.clock.now(), document=document)
    folder = cluster.directory.incoming / row.key
    if earlier is not None:
        _take_back(cluster, earlier, folder)
    cluster.books.begin_import(row)
    try:
        staging = _staging(folder, taking, request, resume=earlier is not None, checkpoint_bytes=checkpoint_bytes)
    except BaseException:
        if earlier is None:
            with suppress(StorageError):
                forget_staged(cluster, row)
        raise
    return StagedImport(row, folder, staging, progress, cluster)


def _staging(
    folder: Path,
    taking: Taking,
    request: ImportRequest,
    *,
    resume: bool,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
) -> Staging:
    wanted, needed = taking
    return Staging(
        folder,
        threads=request.threads,
        limits=request.limits,
        skip_damaged=request.skip_damaged,
        resume=resume,
        want=wanted,
        needed=needed,
        checkpoint_bytes=checkpoint_bytes,
    )


def _take_back(cluster: OpenCluster, row: ImportRow, folder: Path) -> None:
    """Undo the renames of an import that was killed before its transaction: its disks go back to where they were."""
    moved = False
    for name in row.files:
        number, _, ending = name.removeprefix(f"{row.id}-").partition(".")
        path = cluster.directory.disks / name
        if not path.exists():
            continue
        if not number.isdigit():
            raise InternalError(f"import `{row.id}` names a file that is not its own: `{name}`")
        files.make_dir(folder)
        files.rename(path, folder / f"{int(number):07d}.{ending}")
        moved = True
    if moved:
        files.fsync_dir(folder)


def contents_of_images(plan: ImportPlan, contents: Mapping[int, Content]) -> dict[int, Content]:
    """Of what was moved in, what the plan uses."""
    return {image: contents[image] for image in plan.images()}
