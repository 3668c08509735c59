"""What every `Hypervisor` must do. A test class derives from `HypervisorConformance` and gives a cluster that has one.

VMs are made by the verbs that users have, so that the records are what the hypervisor will meet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec import structs

from blixard.errors import BlixardError, HypervisorError
from blixard.limits import MIB
from blixard.model.structs import Consistency, Content, ContentKey, DesiredState, DiskFormat, Vm
from blixard.ops.cluster.nodes import NodeSpec, add_node
from blixard.ops.vm.create import create_vm
from blixard.ops.vm.edit import delete_vm
from blixard.ops.vm.specs import DiskSpec, VmSpec
from blixard.ports import FoundDisk, StateChange
from blixard.site.open_cluster import OpenCluster
from support.clusters import Watched
from support.disk_conformance import read_all

UNKNOWN_ID = "00000000-0000-4000-8000-00000000dead"
SIZE = MIB


def made_vm(opened: OpenCluster, folder: Path, name: str = "web-1", *, in_place: bool = False) -> Vm:
    """A VM with the disks `root`, full of ones, and `data`, full of twos."""
    disks = []
    for number, disk in enumerate(("root", "data"), 1):
        path = folder / f"{name}-{disk}.raw"
        path.write_bytes(bytes([number]) * SIZE)
        disks.append(DiskSpec(path=path, name=disk, format=DiskFormat.RAW))
    return create_vm(opened, VmSpec(name=name, disks=tuple(disks), image_in_place=in_place), Watched()).vm


def contents(opened: OpenCluster, *vms: Vm) -> dict[ContentKey, Content]:
    """What the records say of the VMs' disks."""
    ids = {vm.id for vm in vms}
    return {key: content for key, content in opened.snapshot().contents.items() if key.vm_id in ids}


def found(opened: OpenCluster, vm: Vm, disk: str = "root") -> FoundDisk:
    """One disk as the hypervisor finds it."""
    known = contents(opened, vm)
    return opened.hypervisor.disks(known)[next(key for key in known if key.name == disk)]


def path_of(opened: OpenCluster, vm: Vm, disk: str = "root") -> Path:
    """Where a disk of the VM lies."""
    known = contents(opened, vm)
    return opened.directory.content_path(next(known[key] for key in known if key.name == disk))


@contextmanager
def opened_by_another_process(path: Path) -> Iterator[None]:
    script = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


class HypervisorConformance:
    """Give the fixture `opened`, a new cluster; and say by `runs_vms` whether `power` starts anything."""

    runs_vms: ClassVar[bool]

    def here(self, opened: OpenCluster) -> set[str | None]:
        """Ids of the VMs that the hypervisor has."""
        return {domain.vm.id for domain in opened.hypervisor.domains()}

    def test_a_vm_that_was_made_is_here_and_off(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path)

        (domain,) = opened.hypervisor.domains()
        assert (domain.vm, domain.running, domain.persistent) == (vm, False, True)

    def test_nothing_is_here_before_a_vm_is(self, opened: OpenCluster) -> None:
        assert opened.hypervisor.domains() == ()

    def test_defining_again_changes_nothing(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path)
        before = opened.hypervisor.domains()
        opened.hypervisor.define(vm.id or "")
        opened.hypervisor.define(vm.id or "")

        assert opened.hypervisor.domains() == before

    def test_a_record_that_changed_is_what_the_vm_is_after_define(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = structs.replace(made_vm(opened, tmp_path), name="renamed", memory=2048)
        opened.store.apply(StateChange(put_vms=(vm,)), opened.snapshot().revision)
        opened.hypervisor.define(vm.id or "")

        assert [domain.vm for domain in opened.hypervisor.domains()] == [vm]

    def test_what_has_no_record_is_not_defined(self, opened: OpenCluster) -> None:
        opened.hypervisor.define(UNKNOWN_ID)

        assert opened.hypervisor.domains() == ()

    def test_what_is_placed_on_another_node_is_not_here(self, opened: OpenCluster, tmp_path: Path) -> None:
        ours = made_vm(opened, tmp_path)
        add_node(opened, NodeSpec(id=7, bind_addr="0.0.0.0:7001", data_dir="/other"))
        create_vm(opened, VmSpec(name="theirs", fields={"node_id": 7}), Watched())

        assert self.here(opened) == {ours.id}

    def test_a_vm_that_was_deleted_is_not_here(self, opened: OpenCluster, tmp_path: Path) -> None:
        kept, gone = made_vm(opened, tmp_path), made_vm(opened, tmp_path, "gone")
        delete_vm(opened, "gone")

        assert self.here(opened) == {kept.id}
        opened.hypervisor.undefine(gone.id or "")
        opened.hypervisor.undefine(UNKNOWN_ID)
        assert self.here(opened) == {kept.id}

    def test_undefining_deletes_no_disk(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path, in_place=True)
        path = path_of(opened, vm)
        delete_vm(opened, vm.name)

        assert path.read_bytes() == b"\1" * SIZE

    def test_disks_are_found_under_their_keys(self, opened: OpenCluster, tmp_path: Path) -> None:
        known = contents(opened, made_vm(opened, tmp_path), made_vm(opened, tmp_path, "web-2"))

        disks = opened.hypervisor.disks(known)
        assert {key: disk.content for key, disk in disks.items()} == known
        assert all(disk.key == key and disk.failed is None and not disk.in_use for key, disk in disks.items())
        assert {(disk.size_bytes, disk.allocated_bytes >= SIZE) for disk in disks.values()} == {(SIZE, True)}

    def test_no_contents_are_no_disks(self, opened: OpenCluster) -> None:
        assert opened.hypervisor.disks({}) == {}

    def test_a_disk_that_grew_has_its_size_of_now(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path, in_place=True)
        os.truncate(path_of(opened, vm), 2 * SIZE)

        assert found(opened, vm).size_bytes == 2 * SIZE

    def test_a_disk_that_is_gone_costs_only_itself(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path)
        path_of(opened, vm).unlink()

        assert found(opened, vm).failed is not None
        assert found(opened, vm, "data").failed is None

    def test_a_snapshot_reads_all_disks(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path)
        disks = opened.hypervisor.disks(contents(opened, vm)).values()

        with opened.hypervisor.snapshot(disks) as snapshot:
            for disk in disks:
                reader = snapshot.open(disk)
                assert read_all(reader) == (b"\1" if disk.key.name == "root" else b"\2") * SIZE
                assert snapshot.consistency(disk, reader) is Consistency.STOPPED
                reader.close()

    def test_a_snapshot_of_nothing_may_be_closed_twice(self, opened: OpenCluster) -> None:
        snapshot = opened.hypervisor.snapshot(())
        snapshot.close()
        snapshot.close()

    def test_a_disk_that_cannot_be_read_is_told_when_it_is_opened(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path)
        disks = [found(opened, vm), found(opened, vm, "data")]
        path_of(opened, vm).unlink()

        with opened.hypervisor.snapshot(disks) as snapshot:
            with pytest.raises(BlixardError):
                snapshot.open(disks[0])
            snapshot.open(disks[1]).close()

    def test_a_disk_that_somebody_has_open_is_no_better_than_a_crash(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path, in_place=True)
        with opened_by_another_process(path_of(opened, vm)):
            disk = found(opened, vm)

        assert disk.in_use
        with opened.hypervisor.snapshot([disk]) as snapshot:
            reader = snapshot.open(disk)
            assert snapshot.consistency(disk, reader) is Consistency.CRASH
            reader.close()

    def test_a_disk_that_was_written_to_behind_our_back_is_unknown(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path, in_place=True)
        disk = found(opened, vm)

        with opened.hypervisor.snapshot([disk]) as snapshot:
            reader = snapshot.open(disk)
            with path_of(opened, vm).open("r+b") as file:
                file.write(b"x")
            os.utime(path_of(opened, vm), ns=(0, 0))
            assert snapshot.consistency(disk, reader) is Consistency.UNKNOWN
            reader.close()

    def test_power_is_obeyed_or_refused_with_the_next_step(self, opened: OpenCluster, tmp_path: Path) -> None:
        vm = made_vm(opened, tmp_path)
        for wanted in (DesiredState.RUNNING, DesiredState.STOPPED):
            if self.runs_vms:
                opened.hypervisor.power(vm.id or "", wanted)
            else:
                with pytest.raises(HypervisorError) as refused:
                    opened.hypervisor.power(vm.id or "", wanted)
                assert refused.value.hint
            running = self.runs_vms and wanted is DesiredState.RUNNING
            assert [domain.running for domain in opened.hypervisor.domains()] == [running]

    def test_power_of_a_vm_that_is_not_here_is_refused(self, opened: OpenCluster) -> None:
        with pytest.raises(HypervisorError):
            opened.hypervisor.power(UNKNOWN_ID, DesiredState.RUNNING)

    def test_closing_twice_is_harmless(self, opened: OpenCluster) -> None:
        opened.hypervisor.close()
        opened.hypervisor.close()
