"""Verbs that change VMs have the hypervisor follow, after their commit; verbs that read disks take them from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from blixard.home import ClusterDir
from blixard.ops.exporting.export import ExportOptions, export_cluster
from blixard.ops.importing.request import ImportRequest
from blixard.ops.importing.run import import_document
from blixard.ops.keeping.undo import undo
from blixard.ops.vm.attach import AttachOptions, attach_image
from blixard.ops.vm.edit import delete_vm, set_vm
from blixard.site.open_cluster import OpenCluster
from support.clusters import NOW, StillClock, Watched, a_cluster, reopen
from support.hypervisor_conformance import SIZE, made_vm, path_of
from support.hypervisors import Remembering


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenCluster]:
    with a_cluster(tmp_path / "data", hypervisor=Remembering) as cluster:
        yield cluster


@pytest.fixture
def remembering(opened: OpenCluster) -> Remembering:
    assert isinstance(opened.hypervisor, Remembering)
    return opened.hypervisor


def exported(opened: OpenCluster, folder: Path) -> Path:
    path = folder / "x.json.gz"
    export_cluster(opened, ExportOptions(output=str(path), images=True), progress=Watched())
    return path


def import_into(opened: OpenCluster, path: Path) -> Remembering:
    """Import into the cluster, opened once more as the verb does; what its hypervisor was told."""
    made: list[Remembering] = []

    def opening(directory: ClusterDir) -> OpenCluster:
        again = reopen(opened.home, directory, hypervisor=Remembering)
        assert isinstance(again.hypervisor, Remembering)
        made.append(again.hypervisor)
        return again

    request = ImportRequest(source=str(path), cluster=opened.name, consent=True)
    import_document(
        opened.home, opening, request, clock=StillClock(), progress=Watched(), consent=lambda _plan, _target: None
    )
    return made[-1]


def test_a_vm_is_defined_when_it_is_made_and_when_it_changes(
    opened: OpenCluster, remembering: Remembering, tmp_path: Path
) -> None:
    vm = made_vm(opened, tmp_path)
    set_vm(opened, "web-1", {"memory": 4096})

    assert remembering.told == [("define", vm.id)] * 2


def test_a_disk_that_is_attached_is_defined(opened: OpenCluster, remembering: Remembering, tmp_path: Path) -> None:
    vm = made_vm(opened, tmp_path)
    image = tmp_path / "web-1-data.raw"
    attach_image(opened, AttachOptions(vm="web-1", disk="root", path=image, replace=True), Watched())

    assert remembering.told == [("define", vm.id)] * 2


def test_a_deletion_undefines_and_its_undo_defines(
    opened: OpenCluster, remembering: Remembering, tmp_path: Path
) -> None:
    vm = made_vm(opened, tmp_path)
    delete_vm(opened, "web-1")
    undo(opened, None, dry_run=False, force=False)

    assert remembering.told == [("define", vm.id), ("undefine", vm.id), ("define", vm.id)]


def test_an_import_defines_what_it_brings_and_undefines_what_it_deletes(opened: OpenCluster, tmp_path: Path) -> None:
    kept = made_vm(opened, tmp_path)
    back = made_vm(opened, tmp_path, "back")
    path = exported(opened, tmp_path)
    delete_vm(opened, "back")
    gone = made_vm(opened, tmp_path, "gone")

    told = import_into(opened, path).told
    assert told[0] == ("undefine", gone.id)
    assert set(told[1:]) == {("define", kept.id), ("define", back.id)}


def test_content_that_an_import_replaces_is_defined_though_the_record_is_the_same(
    opened: OpenCluster, tmp_path: Path
) -> None:
    vm = made_vm(opened, tmp_path)
    path = exported(opened, tmp_path)
    path_of(opened, vm).write_bytes(b"\3" * SIZE)

    assert import_into(opened, path).told == [("define", vm.id)]


def test_a_change_stands_when_the_hypervisor_cannot_follow(
    opened: OpenCluster, remembering: Remembering, tmp_path: Path
) -> None:
    stuck = made_vm(opened, tmp_path)
    remembering.fails.add(stuck.id or "")
    delete_vm(opened, "web-1")
    other = made_vm(opened, tmp_path, "web-2")

    assert [*opened.snapshot().vms] == ["web-2"]
    assert remembering.told[-1] == ("define", other.id)
    assert opened.telemetry is not None
    with opened.telemetry() as telemetry:
        assert any("is stuck" in line.body for line in telemetry.logs(NOW, NOW + timedelta(days=1)))


def test_an_export_takes_the_disks_of_one_vm_together(
    opened: OpenCluster, remembering: Remembering, tmp_path: Path
) -> None:
    made_vm(opened, tmp_path)
    path_of(opened, made_vm(opened, tmp_path, "web-2")).unlink()
    exported(opened, tmp_path)

    assert remembering.together == [["root", "data"], ["data"]]
