"""The seam of what runs VMs: which there are, how their disks are read, and how they follow their records."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct

from blixard.closing import Closing
from blixard.model.structs import Consistency, Content, ContentKey, DesiredState, Vm
from blixard.ports.disks import DiskReader


class Domain(Struct, frozen=True, kw_only=True):
    """A VM as its hypervisor has it. One that is not `persistent` vanishes when it ends, and that is no finding."""

    vm: Vm
    running: bool = False
    persistent: bool = True


class FoundDisk(Struct, frozen=True, kw_only=True):
    """A disk or large file of a VM as it is now; with `failed`, why it cannot be read, the sizes mean nothing."""

    key: ContentKey
    content: Content
    size_bytes: int = 0
    """Virtual size. A disk that is kept in place may have grown since it was recorded."""
    allocated_bytes: int = 0
    """What it takes where it lies: an export holds at most about as much of it."""
    in_use: bool = False
    """A guest or another process has it open."""
    failed: str | None = None


class DiskSnapshot(Closing, Protocol):
    """Disks at one instant, until `close`. What stands in the way of one disk is raised by its `open`, not before."""

    def open(self, disk: FoundDisk) -> DiskReader:
        """Read one of the disks of the snapshot. The reader is closed before the snapshot.

        Raises:
            HypervisorError: there is no snapshot of it: another backup is at work, say.
            StorageError: it cannot be read.
            MalformedExport: it is an image that is refused.
        """

    def consistency(self, disk: FoundDisk, reader: DiskReader) -> Consistency:
        """How consistent what was read is, asked after the last read and before the close.

        Raises:
            StorageError: that cannot be found out.
        """


class Hypervisor(Closing, Protocol):
    """What runs the VMs of a cluster on this node, beside the records that the cluster agrees on.

    The records are the cluster's, and committed first; the hypervisor follows them. A VM is named by its id (`Vm.id`):
    names change and come again. Units are those of the model. Every method may raise HypervisorError, and a call that
    raised may be made again; no call waits for ever. No guest is stopped or changed but by `power`; `snapshot` may hold
    its writes back for a bounded moment, also when this process is killed meanwhile. Disks are never deleted. Events of
    guests come with who listens to them. One suite (tests/support/hypervisor_conformance.py) runs on every adapter.
    """

    def domains(self) -> tuple[Domain, ...]:
        """Every VM of this cluster that is here: all of them or an error, for who is missing is taken to be gone."""

    def define(self, vm_id: str) -> None:
        """Make a VM real, or make the real one what its record says now; where its disks lie is in the records too.

        All or nothing, and nothing where nothing differs. A VM without a record, or one that is placed on another node,
        is none of ours. May be repeated at any time: a kill may come between the commit of the records and this.
        """

    def undefine(self, vm_id: str) -> None:
        """Let go of a VM whose record is gone, keeping what an undo needs to define it again; harmless when repeated.

        Raises:
            HypervisorError: it runs, or holds state of its own that would be lost.
        """

    def power(self, vm_id: str, wanted: DesiredState) -> None:
        """Start a VM, or shut it down in order; nothing where it is so already. It is so when this returns.

        Raises:
            HypervisorError: there is no such VM, it cannot run, or the guest does not go.
        """

    def disks(self, contents: Mapping[ContentKey, Content]) -> Mapping[ContentKey, FoundDisk]:
        """What became of contents of this node, one for each key; one that cannot be read costs only itself.

        Args:
            contents: of any number of VMs, as one state of the records has them.
        """

    def snapshot(self, disks: Collection[FoundDisk]) -> DiskSnapshot:
        """Take disks, of one VM or of several, at one instant; none is fine.

        Args:
            disks: as `disks` found them, and none that failed.
        """
