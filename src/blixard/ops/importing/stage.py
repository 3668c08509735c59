"""What an import has staged in a cluster: its folder, its row in the state, and how disks become files of the cluster.

Nothing is overwritten: a staged disk gets a new name under `disks/`, and only the state's transaction makes it live.
What is staged under a document's digest stays for the next import of it; under an import's own id it goes with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from msgspec import UNSET, structs

from blixard import files
from blixard.disks.staging.staging import Staged
from blixard.errors import ExportFileError, InternalError, PeerMisbehaved, StorageError
from blixard.model.structs import Content
from blixard.ops.importing.arrival import announce
from blixard.ops.importing.intake import Intake
from blixard.ops.importing.phases import Job, Planned
from blixard.ops.importing.referred import ReferredRecords
from blixard.ops.keeping.leftovers import forget_staged
from blixard.ops.keeping.stamps import stamp_of
from blixard.ports import ImportRow
from blixard.site.open_cluster import OpenCluster


class StagedImport:
    """The books of one import: a block of it ends with the import committed, or with nothing of it in the cluster.

    Args:
        cluster: whose `disks/` the disks go into.
        row: in the books as soon as anything is staged under `.incoming/`.
        folder: where the disks are staged.
    """

    def __init__(self, cluster: OpenCluster, row: ImportRow, folder: Path) -> None:
        self.row = row
        self._cluster = cluster
        self._folder = folder
        self._done = False

    def move_in(self, disks: Mapping[int, Staged]) -> dict[int, Content]:
        """Give disks their names under `disks/`; the row names them first, so that no sweep takes one.

        Raises:
            StorageError: some may have their names; the end of the block takes them back.
        """
        cluster = self._cluster
        directory = cluster.directory.disks
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self._done:
            return
        # one bad record may come better with the next copy of the file, or be left out; what is bad otherwise stays so,
        # and of a peer that lies nothing is kept
        if isinstance(error, ExportFileError | PeerMisbehaved) and not isinstance(error.__cause__, ExportFileError):
            self._forget()
            return
        with suppress(StorageError):  # the failure before is the one to tell; the next import takes back what is left
            self._leave()

    def _leave(self) -> None:
        """Whatever ended the import, its transaction may have been done: only the store knows."""
        books = self._cluster.books
        if any(row.done for row in books.imports() if row.id == self.row.id):
            self._forget()
            return
        if self.row.files:
            _take_back(self._cluster, self.row, self._folder)
            self.row = structs.replace(self.row, files=())
            books.begin_import(self.row)
        if self.row.key == self.row.id:
            self._forget()

    def _forget(self) -> None:
        """What cannot be removed now, `cluster gc` removes."""
        with suppress(StorageError):
            files.remove_tree(self._folder, beneath=self._folder.parent)
            self._cluster.books.forget_import(self.row.id)


@contextmanager
def stage_in_cluster(job: Job, planned: Planned) -> Iterator[tuple[StagedImport, Intake]]:
    """Stage in the cluster's own folder, and go on where an import of the same document stopped.

    Raises:
        StorageError: the row or the folder cannot be made.
        ExportFileError: looking for what the images refer to, before anything is staged.
    """
    cluster, source = planned.target.cluster, job.source
    document, images = source.foreknown.document, planned.plan.images()
    with ReferredRecords(job.request.limits) as referred:
        if len(images) < _images_named(planned):
            referred.look(source, images, cluster.directory.path)
        announce(job.progress, source.foreknown, images.__contains__)
        earlier = next((row for row in cluster.books.imports() if row.key == document and not row.done), None)
        import_id = uuid.uuid4().hex if earlier is None else earlier.id
        row = ImportRow(id=import_id, key=document or import_id, started_at=cluster.clock.now(), document=document)
        folder = cluster.directory.incoming / row.key
        if earlier is not None:
            _take_back(cluster, earlier, folder)
        cluster.books.begin_import(row)
        try:
            intake = Intake(job, folder, images.__contains__, referred, resume=earlier is not None)
        except BaseException:
            if earlier is None:
                with suppress(StorageError):
                    forget_staged(cluster, row)
            raise
        with StagedImport(cluster, row, folder) as staged, intake:
            yield staged, intake


def _images_named(planned: Planned) -> int:
    """How many images the document's VMs name; when some stay out, others may still refer to records of theirs."""
    vms = (each.vm for each in planned.state.vms.values())
    return sum(part.image is not UNSET for vm in vms for part in vm.parts)


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
