"""The rules of DESIGN.md section 6 on the content of disks and files, one test each."""

from __future__ import annotations

from blixard.model.structs import ContentKey, ContentKind, DiskFormat, File, FileRole
from blixard.plan.change import without_images
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.values import Action, ContentAction
from support.documents import disk, node, uuid
from support.planning import (
    THERE,
    applied,
    apply_change,
    change_of,
    cluster,
    content,
    content_change,
    disk_key,
    document,
    original,
    original_vm,
    vm,
    vm_change,
)

MERGE = ImportOptions(mode=Mode.MERGE)
HERE_VM = vm("a", 1, disks=(disk(),))
HERE = cluster(HERE_VM, contents={disk_key(HERE_VM): content()})
WITH_IMAGE = vm("a", 1, disks=(disk(image=0),))


def test_a_file_without_images_leaves_the_content_that_is_here() -> None:
    plan = plan_import(HERE, document(vm("a", 1, disks=(disk(),), vcpus=9)), ImportOptions())

    assert content_change(plan, "a").action is ContentAction.KEEP
    assert apply_change(HERE, change_of(plan)).contents == HERE.contents


def test_a_file_without_ids_keeps_content_by_name() -> None:
    named = vm("web-1", 1, disks=(disk(),))
    here = cluster(named, contents={disk_key(named): content()})

    made = applied(here, original({**original_vm(), "disks": [{"name": "root", "size_bytes": 1 << 20}]}))

    assert made.contents == here.contents


def test_a_disk_that_is_nowhere_is_absent_and_named() -> None:
    plan = plan_import(cluster(), document(HERE_VM), ImportOptions())

    assert [(each.vm, each.key.name) for each in plan.absent()] == [("a", "root")]


def test_a_disk_that_stays_absent_is_named_each_time() -> None:
    plan = plan_import(cluster(HERE_VM), document(HERE_VM), ImportOptions())

    assert plan.is_empty
    assert len(plan.absent()) == 1


def test_a_new_vm_of_the_same_name_inherits_no_content() -> None:
    made = applied(HERE, document(vm("a", 2, disks=(disk(),))))

    assert made.contents == {}


def test_an_image_is_staged_and_the_plan_says_for_whom() -> None:
    plan = plan_import(cluster(), document(WITH_IMAGE), ImportOptions())

    assert plan.images() == {0: ContentKey(uuid(1), ContentKind.DISK, "root")}
    assert applied(cluster(), document(WITH_IMAGE)).vms["a"] == HERE_VM


def test_a_replace_stages_over_what_is_here() -> None:
    change = content_change(plan_import(HERE, document(WITH_IMAGE), ImportOptions()), "a")

    assert (change.action, change.before) == (ContentAction.STAGE, content())


def test_a_merge_replaces_no_existing_content() -> None:
    plan = plan_import(HERE, document(WITH_IMAGE), MERGE)

    assert content_change(plan, "a").action is ContentAction.KEEP
    assert "--replace-disks" in content_change(plan, "a").note
    assert plan.is_empty


def test_a_merge_with_replace_disks_replaces_it() -> None:
    plan = plan_import(HERE, document(WITH_IMAGE), ImportOptions(mode=Mode.MERGE, replace_disks=True))

    assert plan.images() == {0: disk_key(HERE_VM)}


def test_a_merge_fills_a_disk_that_has_no_content() -> None:
    assert plan_import(cluster(HERE_VM), document(WITH_IMAGE), MERGE).images() == {0: disk_key(HERE_VM)}


def test_the_same_content_is_not_staged_again() -> None:
    here = cluster(HERE_VM, contents={disk_key(HERE_VM): content(digest="ab")})

    assert plan_import(here, document(WITH_IMAGE), ImportOptions(), image_digests={0: "ab"}).is_empty
    assert not plan_import(here, document(WITH_IMAGE), ImportOptions(), image_digests={0: "cd"}).is_empty


def test_a_content_that_stays_keeps_its_size_and_format_in_the_record_too() -> None:
    larger = vm("a", 1, disks=(disk(size_bytes=9 << 20, format=DiskFormat.QCOW2, bus="scsi"),))

    made = applied(HERE, document(larger)).vms["a"].disks[0]

    assert (made.size_bytes, made.format, made.bus) == (4 << 20, DiskFormat.RAW, "scsi")


def test_a_disk_that_a_replace_takes_away_is_dropped() -> None:
    assert content_change(plan_import(HERE, document(vm("a", 1)), ImportOptions()), "a").action is ContentAction.DROP
    assert applied(HERE, document(vm("a", 1))).contents == {}


def test_content_on_another_node_is_not_missing() -> None:
    away = vm("a", 1, node_id=2, disks=(disk(),))
    here = cluster(away, nodes=[node(1), node(2)])

    assert plan_import(here, document(away), ImportOptions()).absent() == ()
    assert plan_import(here, document(vm("a", 1, node_id=2, disks=(disk(),), vcpus=9)), ImportOptions()).absent() == ()


def test_a_large_file_is_content_and_a_small_one_is_not() -> None:
    files = (File(role=FileRole.KERNEL, name="k", image=3), File(role=FileRole.SEED, name="s", text="#cloud-config"))

    plan = plan_import(cluster(), document(vm("a", 1, files=files)), ImportOptions())

    assert plan.images() == {3: ContentKey(uuid(1), ContentKind.FILE, "k")}
    assert len(plan.contents) == 1


def test_a_file_in_one_form_replaces_the_other_form_in_a_merge() -> None:
    here = cluster(vm("a", 1, files=(File(role=FileRole.SEED, name="s", text="old", size_bytes=3),)))
    incoming = document({**vm_object(), "files": [{"role": "seed", "name": "s", "base64": "/w=="}]})

    made = applied(here, incoming, MERGE).vms["a"].files

    assert made == (File(role=FileRole.SEED, name="s", base64="/w=="),)


def vm_object() -> dict[str, object]:
    return {**original_vm("a"), "id": uuid(1)}


def test_a_failed_image_leaves_the_content_that_is_here_with_its_facts() -> None:
    larger = vm("a", 1, disks=(disk(image=0, size_bytes=9 << 20),))
    plan = plan_import(HERE, document(larger), ImportOptions())

    left = without_images(plan, {0: "EIO"})

    assert (content_change(left, "a").action, content_change(left, "a").note) == (ContentAction.KEEP, "EIO")
    assert vm_change(left, "a").kind is Action.KEEP
    assert (left.is_empty, left.failed_images) == (True, {0: "EIO"})


def test_a_failed_image_of_a_new_vm_leaves_its_disk_absent_and_the_others_as_they_are() -> None:
    incoming = document(WITH_IMAGE, vm("b", 2, disks=(disk(image=1),)), cluster_id=THERE)
    plan = plan_import(cluster(), incoming, ImportOptions())

    left = without_images(plan, {0: "EIO", 7: "not of this plan"})

    assert content_change(left, "a").action is ContentAction.ABSENT
    assert (set(left.images()), left.failed_images) == ({1}, {0: "EIO"})
    assert set(apply_change(cluster(), change_of(left)).vms) == {"a", "b"}
