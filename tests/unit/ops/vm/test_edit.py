from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from blixard.errors import Conflict, InvalidField, NotFound
from blixard.home.registry import DiskOwner
from blixard.model.structs import ContentKey, ContentKind, DesiredState, Hold, Vm
from blixard.ops.cluster.nodes import NodeSpec, add_node
from blixard.ops.keeping.leftovers import unnamed_files
from blixard.ops.vm.attach import AttachOptions, attach_image
from blixard.ops.vm.create import create_vm
from blixard.ops.vm.edit import delete_vm, release_vm, set_vm, trust_vm
from blixard.ops.vm.specs import DiskSpec, VmSpec
from blixard.plan.retention import UndoPolicy
from blixard.ports import StateChange
from blixard.site.open_cluster import OpenCluster
from blixard.site.who import Policy
from support.clusters import StillClock, Watched, a_cluster


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def opened(tmp_path: Path, clock: StillClock) -> Iterator[OpenCluster]:
    with a_cluster(tmp_path / "data", clock=clock) as cluster:
        yield cluster


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(b"content" * 1000)
    return path


def make(opened: OpenCluster, name: str = "web-1", *disks: Path, **fields: Any) -> Vm:
    specs = tuple(DiskSpec(path=path, name=f"d{number}") for number, path in enumerate(disks))
    return create_vm(opened, VmSpec(name=name, disks=specs, fields=fields), Watched()).vm


def put(opened: OpenCluster, vm: Vm) -> None:
    opened.edit("test", {}, lambda _snapshot: StateChange(put_vms=(vm,)))


def test_set_changes_what_is_given_and_nothing_else(opened: OpenCluster) -> None:
    before = make(opened, labels={"a": "1", "b": "2"}, memory=512)

    after = set_vm(
        opened, "web-1", {"memory": 1024, "desired_state": DesiredState.RUNNING, "labels": {"a": None, "c": "3"}}
    )

    wanted = structs.replace(before, memory=1024, desired_state=DesiredState.RUNNING, labels={"b": "2", "c": "3"})
    assert after == wanted
    assert opened.snapshot().vms["web-1"] == wanted


def test_set_checks_fields_as_create_does(opened: OpenCluster) -> None:
    make(opened)

    with pytest.raises(InvalidField, match=r"vm\.web-1\.vcpus"):
        set_vm(opened, "web-1", {"vcpus": 0})
    with pytest.raises(InvalidField, match=r"vm\.web-1\.ip_address"):
        set_vm(opened, "web-1", {"ip_address": "nope"})
    with pytest.raises(InvalidField, match=r"vm\.web-1\.cpus"):
        set_vm(opened, "web-1", {"cpus": 4})
    with pytest.raises(InvalidField, match=r"vm\.web-1\.untrusted"):
        set_vm(opened, "web-1", {"untrusted": ()})


def test_an_address_can_be_taken_away(opened: OpenCluster) -> None:
    make(opened, ip_address="10.0.0.1")

    assert set_vm(opened, "web-1", {"ip_address": None}).ip_address is None


def test_a_field_that_the_operator_sets_is_his_own(opened: OpenCluster) -> None:
    put(opened, structs.replace(make(opened), untrusted=("/config_path", "/boot")))

    after = set_vm(opened, "web-1", {"config_path": "/etc/mine"})

    assert after.untrusted == ("/boot",)


def test_a_vm_with_its_disks_here_does_not_go_elsewhere(opened: OpenCluster, image: Path) -> None:
    add_node(opened, NodeSpec(id=2, bind_addr="10.0.0.2:7001", data_dir="/d"))
    make(opened, "web-1", image)
    make(opened, "bare")

    with pytest.raises(Conflict, match="disks on node 1"):
        set_vm(opened, "web-1", {"node_id": 2})
    assert set_vm(opened, "bare", {"node_id": 2}).node_id == 2
    with pytest.raises(NotFound, match="no node 3"):
        set_vm(opened, "bare", {"node_id": 3})


def test_release_takes_the_hold_off(opened: OpenCluster) -> None:
    put(opened, structs.replace(make(opened), hold=Hold.IMPORTED))

    assert release_vm(opened, "web-1").hold is Hold.IMPORTED
    assert opened.snapshot().vms["web-1"].hold is None


def test_trust_tells_what_is_trusted_now(opened: OpenCluster) -> None:
    put(opened, structs.replace(make(opened), untrusted=("/boot",)))

    assert trust_vm(opened, "web-1").untrusted == ("/boot",)
    assert opened.snapshot().vms["web-1"].untrusted == ()


def test_an_unknown_vm_is_told_with_the_data_directory_and_the_close_names(opened: OpenCluster) -> None:
    make(opened)

    with pytest.raises(NotFound, match=str(opened.home.root)) as caught:
        delete_vm(opened, "web-2")

    assert caught.value.hint == "did you mean `web-1`?"


def test_a_deletion_keeps_state_and_files_for_undo(opened: OpenCluster, image: Path) -> None:
    vm = make(opened, "web-1", image)

    gone = delete_vm(opened, "web-1")

    (summary,) = opened.store.undo_entries()
    entry = opened.store.undo_entry(summary.id)
    ((key, content),) = entry.before.contents
    assert opened.snapshot().vms == {}
    assert opened.snapshot().contents == {}
    assert (entry.id, entry.before.vms, entry.after.vms) == (gone.undo_id, (vm,), ())
    assert key == ContentKey(vm.id or "", ContentKind.DISK, "d0")
    assert (opened.directory.disks / (content.file or "")).read_bytes() == image.read_bytes()
    assert unnamed_files(opened) == []


def test_a_deletion_leaves_disks_in_place_alone(opened: OpenCluster, image: Path) -> None:
    spec = VmSpec(name="web-1", disks=(DiskSpec(path=image, name="root"),), image_in_place=True)
    create_vm(opened, spec, Watched())

    gone = delete_vm(opened, "web-1")

    assert gone.kept_in_place == (str(image),)
    assert image.exists()


def test_more_deletions_than_undo_keeps_free_their_files(tmp_path: Path, image: Path, clock: StillClock) -> None:
    policy = Policy(undo=UndoPolicy(keep=2))
    with a_cluster(tmp_path / "data", clock=clock, policy=policy) as opened:
        for number in range(4):
            make(opened, f"vm-{number}", image)
        for number in range(4):
            clock.pass_by(timedelta(minutes=1))
            delete_vm(opened, f"vm-{number}")

        titles = [entry.title for entry in opened.store.undo_entries()]
        kept = [path for path in opened.directory.disks.iterdir() if path.is_file()]
        assert titles == ["VM `vm-3` deleted", "VM `vm-2` deleted"]
        assert len(kept) == 2


def test_with_undo_off_a_deletion_keeps_nothing_and_says_so(tmp_path: Path, image: Path) -> None:
    with a_cluster(tmp_path / "data", policy=Policy(undo=UndoPolicy(keep=0))) as opened:
        make(opened, "web-1", image)

        gone = delete_vm(opened, "web-1")

        assert gone.undo_id is None
        assert opened.store.undo_entries() == ()
        assert [path for path in opened.directory.disks.iterdir() if path.is_file()] == []


def attach(opened: OpenCluster, path: Path, **fields: Any) -> Any:
    options = AttachOptions(**{"vm": "web-1", "disk": "d0", "path": path, **fields})
    return attach_image(opened, options, Watched())


def forget_content(opened: OpenCluster, vm: Vm) -> None:
    key = ContentKey(vm.id or "", ContentKind.DISK, "d0")
    opened.edit("test", {}, lambda _snapshot: StateChange(delete_contents=(key,)))


def test_a_disk_without_content_gets_some(opened: OpenCluster, image: Path, tmp_path: Path) -> None:
    vm = make(opened, "web-1", image)
    forget_content(opened, vm)
    other = tmp_path / "other.raw"
    other.write_bytes(b"new" * 5000)

    done = attach(opened, other)

    content = opened.snapshot().contents[ContentKey(vm.id or "", ContentKind.DISK, "d0")]
    assert not done.replaced
    assert (opened.directory.disks / (content.file or "")).read_bytes() == other.read_bytes()
    assert opened.snapshot().vms["web-1"].disks[0].size_bytes == 15000
    assert opened.store.undo_entries() == ()


def test_content_that_is_there_is_replaced_only_on_demand_and_kept(opened: OpenCluster, image: Path) -> None:
    make(opened, "web-1", image)

    with pytest.raises(Conflict, match="has content"):
        attach(opened, image)
    done = attach(opened, image, replace=True)

    (summary,) = opened.store.undo_entries()
    entry = opened.store.undo_entry(summary.id)
    assert done.replaced
    assert [content.file for _, content in entry.before.contents] != [
        content.file for _, content in entry.after.contents
    ]
    assert unnamed_files(opened) == []


def test_attaching_to_what_is_not_there_names_what_is(opened: OpenCluster, image: Path) -> None:
    make(opened, "web-1", image)

    with pytest.raises(NotFound, match="no disk `data`") as caught:
        attach(opened, image, disk="data")
    with pytest.raises(NotFound, match="no VM `web-9`"):
        attach(opened, image, vm="web-9")

    assert caught.value.hint == "its disks: `d0`"


def test_an_image_in_place_is_claimed(opened: OpenCluster, image: Path) -> None:
    vm = make(opened, "web-1", image)
    forget_content(opened, vm)

    attach(opened, image, in_place=True)

    stranger = DiskOwner(cluster=opened.name, vm="web-2", vm_id="id-2", disk="root")
    with pytest.raises(Conflict, match="disk `d0` of VM `web-1`"):
        opened.home.registry().claim(image, stranger)


def test_an_interrupt_behind_the_transaction_of_an_attachment_takes_nothing_back(
    opened: OpenCluster, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(opened, "web-1", image)
    other = tmp_path / "other.raw"
    other.write_bytes(b"other" * 1000)
    edit = OpenCluster.edit

    def interrupted(*given: Any, **options: Any) -> None:
        edit(*given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(OpenCluster, "edit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attach(opened, other, disk="d0", replace=True)

    [content] = opened.snapshot().contents.values()
    assert opened.directory.content_path(content).read_bytes() == other.read_bytes()
