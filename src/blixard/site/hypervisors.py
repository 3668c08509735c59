"""Which hypervisor a cluster has: the only place that knows the adapters."""

from __future__ import annotations

from pathlib import Path

from blixard.home import ClusterDir
from blixard.hypervisor.catalogue import Catalogue
from blixard.model.structs import Content
from blixard.ports import DiskReader, Hypervisor, StateStore


def hypervisor_of(directory: ClusterDir, store: StateStore) -> Hypervisor:
    """What runs the VMs of the cluster in `directory`, whose records are in `store`."""
    return Catalogue(store.snapshot, directory.content_path, _open_disk)


def _open_disk(path: Path, content: Content) -> DiskReader:
    from blixard.disks.detect import open_content  # most commands open no disk

    return open_content(path, content)
