"""Disks that stay in place and who writes to them: whether a claim in the registry still means something.

The registry knows claims, not states: a claim of a VM that was deleted, or whose disk got other content, is void.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from blixard.errors import BlixardError, StorageError
from blixard.home import Home
from blixard.home.registry import DiskOwner
from blixard.model.structs import Content, ContentKey, ContentKind
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
        return content is not None and content.path is not None

    return is_live


def release_claims(home: Home, cluster: str, vm_name: str, contents: Mapping[ContentKey, Content]) -> None:
    """Forget the claims of a VM's disks in place; one that stays by mistake means nothing any more (`still_live`)."""
    for key, content in contents.items():
        if content.path is not None and Path(content.path).exists():
            with suppress(StorageError):
                home.registry().release(DiskOwner(cluster, vm_name, key.vm_id, key.name))
