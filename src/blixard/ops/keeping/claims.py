"""Disks that stay in place and who writes to them: whether a claim in the registry still means something.

The registry knows claims, not states: a claim of a VM that was deleted, or whose disk got other content, is void.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from blixard import files
from blixard.errors import BlixardError, StorageError
from blixard.home import Home
from blixard.home.registry import DiskOwner
from blixard.model.structs import ClusterSnapshot, Content, ContentKey, ContentKind
from blixard.ports import StateChange
from blixard.site.open_cluster import OpenCluster
from blixard.store.opening import open_store


def still_live(home: Home) -> Callable[[DiskOwner], bool]:
    """What `Registry.claim` asks about other owners: true while their VM has that disk in place."""

    def is_live(owner: DiskOwner) -> bool:
        try:
            store = open_store(home.cluster(owner.cluster))
        except BlixardError:
            return True  # a state that cannot be read is no leave to write to its disks
        with store:
            content = store.snapshot().contents.get(ContentKey(owner.vm_id, ContentKind.DISK, owner.disk))
        return _in_place(content)

    return is_live


def claim_again(opened: OpenCluster, before: ClusterSnapshot, change: StateChange) -> None:
    """Claim the disks in place that `change` gives back to their VMs: another may have got such a file meanwhile.

    Who writes to what in this cluster is judged by the state that the change makes.

    Raises:
        Conflict: another VM writes to one of them; the error says which.
        StorageError: that cannot be looked up.
    """
    vms = {vm.id: vm for vm in (*before.vms.values(), *change.put_vms)}
    gone = set(change.delete_contents)
    after = {key: each for key, each in before.contents.items() if key not in gone} | dict(change.put_contents)
    others_live = still_live(opened.home)

    def is_live(owner: DiskOwner) -> bool:
        if owner.cluster != opened.name:
            return others_live(owner)
        return _in_place(after.get(ContentKey(owner.vm_id, ContentKind.DISK, owner.disk)))

    for key, content in change.put_contents:
        vm, path = vms[key.vm_id], content.path
        writes = any(disk.name == key.name and not disk.read_only for disk in vm.disks)
        if path is not None and writes and files.is_there(path):
            owner = DiskOwner(opened.name, vm.name, key.vm_id, key.name)
            opened.home.registry().claim(Path(path), owner, is_live)


def release_claims(home: Home, cluster: str, vm_name: str, contents: Mapping[ContentKey, Content]) -> None:
    """Forget the claims of a VM's disks in place; one that stays by mistake means nothing any more (`still_live`)."""
    for key, content in contents.items():
        if content.path is not None and Path(content.path).exists():
            with suppress(StorageError):
                home.registry().release(DiskOwner(cluster, vm_name, key.vm_id, key.name))


def _in_place(content: Content | None) -> bool:
    return content is not None and content.path is not None
