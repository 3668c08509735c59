"""A cluster without a hypervisor: records and disks, and nothing runs (`ports.Hypervisor`).

The records are all that there is of a VM, so to define one is to have recorded it. Disks are read where they lie, and
whether a guest that somebody else runs writes to them shows only in who has them open and in their times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from blixard import files
from blixard.closing import Closing
from blixard.errors import BlixardError, HypervisorError
from blixard.home.in_use import users_of
from blixard.model.structs import ClusterSnapshot, Consistency, Content, ContentKey, DesiredState
from blixard.ports import DiskReader, DiskSnapshot, Domain, FoundDisk

OpenDisk = Callable[[Path, Content], DiskReader]


class Catalogue(Closing):
    """The VMs that a cluster's records place on this node.

    Args:
        records: gives the state as it is now.
        where: the path of a content of the cluster.
        open_disk: opens the content at a path.
    """

    def __init__(
        self, records: Callable[[], ClusterSnapshot], where: Callable[[Content], Path], open_disk: OpenDisk
    ) -> None:
        self._records = records
        self._where = where
        self._open_disk = open_disk

    def domains(self) -> tuple[Domain, ...]:
        """Return the records: none runs."""
        state = self._records()
        return tuple(Domain(vm=vm) for vm in state.vms.values() if vm.node_id in (None, state.self_node))

    def define(self, vm_id: str) -> None:
        """Do nothing: a VM that is recorded is all that there is."""

    def undefine(self, vm_id: str) -> None:
        """Do nothing: its record is gone."""

    def power(self, vm_id: str, wanted: DesiredState) -> None:
        """Refuse: nothing here starts or stops a VM.

        Raises:
            HypervisorError: always.
        """
        raise HypervisorError(
            f"VM `{vm_id}` cannot be made {wanted}: this cluster is a catalogue, nothing runs its VMs",
            hint="export it, and import it into a cluster on a host that runs VMs",
        )

    def disks(self, contents: Mapping[ContentKey, Content]) -> Mapping[ContentKey, FoundDisk]:
        """Open each to learn its size, and look once for all of them at who has them open."""
        paths = {key: self._where(content) for key, content in contents.items()}
        used = users_of(paths.values())
        return {key: self._found(key, contents[key], path, in_use=path in used) for key, path in paths.items()}

    def snapshot(self, disks: Collection[FoundDisk]) -> DiskSnapshot:
        """Hold nothing still: every disk is read as it is, and says afterwards whether somebody wrote to it."""
        del disks
        return _AsTheyAre(self._where, self._open_disk)

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _found(self, key: ContentKey, content: Content, path: Path, *, in_use: bool) -> FoundDisk:
        try:
            with self._open_disk(path, content) as reader:
                size = reader.size_bytes
        except BlixardError as error:
            return FoundDisk(key=key, content=content, in_use=in_use, failed=error.message)
        return FoundDisk(
            key=key, content=content, size_bytes=size, allocated_bytes=files.allocated_bytes(path), in_use=in_use
        )


class _AsTheyAre(Closing):
    def __init__(self, where: Callable[[Content], Path], open_disk: OpenDisk) -> None:
        self._where = where
        self._open_disk = open_disk

    def open(self, disk: FoundDisk) -> DiskReader:
        return self._open_disk(self._where(disk.content), disk.content)

    def consistency(self, disk: FoundDisk, reader: DiskReader) -> Consistency:
        if reader.changed():
            return Consistency.UNKNOWN
        # open elsewhere and not written to meanwhile: all of it is of one point in time, of a guest that may be running
        return Consistency.CRASH if disk.in_use else Consistency.STOPPED

    def close(self) -> None:
        pass
