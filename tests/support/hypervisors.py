"""A hypervisor that remembers what it was told."""

from __future__ import annotations

from collections.abc import Collection

from blixard.disks.detect import open_content
from blixard.errors import HypervisorError
from blixard.home import ClusterDir
from blixard.hypervisor.catalogue import Catalogue
from blixard.ports import DiskSnapshot, FoundDisk, StateStore


class Remembering(Catalogue):
    """A catalogue that notes calls in `told`. What is in `fails` cannot be defined or undefined."""

    def __init__(self, directory: ClusterDir, store: StateStore) -> None:
        super().__init__(store.snapshot, directory.content_path, open_content)
        self.told: list[tuple[str, str]] = []
        self.together: list[list[str]] = []
        self.fails: set[str] = set()

    def define(self, vm_id: str) -> None:
        self._note("define", vm_id)

    def undefine(self, vm_id: str) -> None:
        self._note("undefine", vm_id)

    def snapshot(self, disks: Collection[FoundDisk]) -> DiskSnapshot:
        self.together.append([disk.key.name for disk in disks])
        return super().snapshot(disks)

    def _note(self, what: str, vm_id: str) -> None:
        if vm_id in self.fails:
            raise HypervisorError(f"VM `{vm_id}` is stuck")
        self.told.append((what, vm_id))
