"""The rules of DESIGN.md section 6 on modes, matching and conflicts, one test each."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from blixard.errors import Conflict, MalformedExport
from blixard.model.structs import Hold, Network, Origin
from blixard.plan.change import refuse_conflicts
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, MatchBy, Mode, OnConflict
from blixard.plan.rules import Rules, parse_rename
from blixard.plan.values import Action
from support.documents import disk, uuid
from support.planning import (
    HERE,
    THERE,
    applied,
    cluster,
    document,
    document_of,
    kinds,
    original,
    original_vm,
    vm,
    vm_change,
)

MERGE = ImportOptions(mode=Mode.MERGE)


def merge(**fields: Any) -> ImportOptions:
    return ImportOptions(mode=Mode.MERGE, **fields)


def fields_of(plan: Any, name: str) -> dict[str, Any]:
    return {each.pointer: each.after for each in vm_change(plan, name).fields}


def test_replace_makes_the_cluster_what_the_file_says() -> None:
    here = cluster(vm("a", 1), vm("b", 2, vcpus=1), vm("c", 3))

    plan = plan_import(here, document(vm("b", 2, vcpus=4), vm("c", 3), vm("d", 4)), ImportOptions())

    assert kinds(plan) == {"a": "delete", "b": "update", "c": "keep", "d": "create"}
    assert fields_of(plan, "b") == {"/vcpus": 4}


def test_merge_adds_and_updates_and_deletes_nothing() -> None:
    here = cluster(vm("a", 1), vm("b", 2, vcpus=1))

    plan = plan_import(here, document(vm("b", 2, vcpus=4), vm("d", 4)), MERGE)

    assert kinds(plan) == {"a": "keep", "b": "update", "d": "create"}


def test_a_key_absent_in_the_file_leaves_ours_in_a_merge() -> None:
    here = cluster(vm("a", 1, priority=900, labels={"env": "prod"}))
    given = {**original_vm("a"), "id": uuid(1), "vcpus": 8, "config_path": "/etc/vm.nix"}

    plan = plan_import(here, document(given), MERGE)

    assert fields_of(plan, "a") == {"/vcpus": 8}


def test_a_key_absent_in_the_file_takes_its_default_in_a_replace() -> None:
    here = cluster(vm("a", 1, priority=900, labels={"env": "prod"}))
    given = {**original_vm("a"), "id": uuid(1), "config_path": "/etc/vm.nix"}

    plan = plan_import(here, document(given), ImportOptions())

    assert {each.pointer for each in vm_change(plan, "a").fields} == {"/priority", "/labels/env"}


def test_null_and_an_empty_list_set_the_value_in_a_merge() -> None:
    rules = {"rules": [{"group_key": "db"}]}
    here = cluster(vm("a", 1, ip_address="10.0.0.9", anti_affinity=rules, metadata={"k": "v"}))
    given = {**original_vm("a"), "id": uuid(1), "ip_address": None, "anti_affinity": {"rules": []}, "metadata": None}

    made = applied(here, document(given), MERGE).vms["a"]

    assert (made.ip_address, made.anti_affinity, made.metadata) == (None, {"rules": []}, None)


def test_objects_merge_by_key() -> None:
    here = cluster(vm("a", 1, labels={"env": "prod", "tier": "web"}, boot={"kernel": "k", "opts": {"quiet": True}}))

    made = applied(here, document(vm("a", 1, labels={"env": "dev"}, boot={"opts": {"debug": 1}})), MERGE).vms["a"]

    assert made.labels == {"env": "dev", "tier": "web"}
    assert made.boot == {"kernel": "k", "opts": {"quiet": True, "debug": 1}}


def test_disks_and_networks_merge_by_name_and_none_is_taken_away() -> None:
    here = cluster(vm("a", 1, disks=(disk("root"), disk("data")), networks=(Network(name="eth0", mac="m0"),)))
    incoming = vm("a", 1, disks=(disk("data", bus="scsi"), disk("new")), networks=(Network(name="eth1"),))

    made = applied(here, document(incoming), MERGE).vms["a"]

    assert [(each.name, each.bus) for each in made.disks] == [("root", "virtio"), ("data", "scsi"), ("new", "virtio")]
    assert [each.name for each in made.networks] == ["eth0", "eth1"]
    assert made.networks[0].mac == "m0"


def test_a_replace_takes_away_what_the_file_does_not_have() -> None:
    here = cluster(vm("a", 1, disks=(disk("root"), disk("data"))))

    made = applied(here, document(vm("a", 1, disks=(disk("root"),))), ImportOptions()).vms["a"]

    assert [each.name for each in made.disks] == ["root"]


def test_a_file_that_does_not_speak_of_disks_and_files_keeps_them_in_a_replace() -> None:
    here = cluster(vm("web-1", 1, disks=(disk("root"),), vcpus=1))

    made = applied(here, original(original_vm()), ImportOptions()).vms["web-1"]

    assert ([each.name for each in made.disks], made.vcpus, made.id) == (["root"], 2, uuid(1))


def test_vms_match_by_id_even_under_another_name() -> None:
    plan = plan_import(cluster(vm("old", 1)), document(vm("new", 1)), ImportOptions())

    assert kinds(plan) == {"new": "update"}
    assert fields_of(plan, "new") == {"/name": "new"}


def test_vms_match_by_origin_after_id() -> None:
    here = cluster(vm("copy", 9, origin=Origin(cluster_id=THERE, vm_id=uuid(1)), hold=Hold.IMPORTED, vcpus=1))

    plan = plan_import(here, document(vm("copy", 1, vcpus=4), cluster_id=THERE), MERGE)

    assert vm_change(plan, "copy").kind is Action.UPDATE
    assert vm_change(plan, "copy").id == uuid(9)


def test_vms_match_by_name_when_the_file_has_no_ids() -> None:
    plan = plan_import(cluster(vm("web-1", 1)), original(original_vm(vcpus=4)), MERGE)

    assert kinds(plan) == {"web-1": "update"}
    assert vm_change(plan, "web-1").id == uuid(1)


def test_a_name_alone_does_not_match_when_the_file_has_ids() -> None:
    plan = plan_import(cluster(vm("web-1", 1)), document(vm("web-1", 2)), ImportOptions())

    assert kinds(plan) == {"web-1": "delete+create"}


def test_replace_deletes_the_old_vm_of_a_name_and_the_new_one_inherits_nothing() -> None:
    old = vm("web-1", 1, disks=(disk(),), priority=900)

    made = applied(cluster(old), document(vm("web-1", 2, disks=(disk(),))), ImportOptions())

    assert (made.vms["web-1"].id, made.vms["web-1"].priority) == (uuid(2), 500)
    assert made.contents == {}


def test_a_merge_stops_naming_all_vms_whose_names_are_taken() -> None:
    plan = plan_import(cluster(vm("a", 1), vm("b", 2)), document(vm("a", 8), vm("b", 9)), MERGE)

    with pytest.raises(Conflict, match="`a`, `b`") as caught:
        refuse_conflicts(plan)
    assert caught.value.exit_code == 22
    assert [each.name for each in plan.conflicts] == ["a", "b"]


def test_on_conflict_update_updates_ours_and_it_keeps_its_id() -> None:
    made = applied(cluster(vm("a", 1)), document(vm("a", 8, vcpus=9)), merge(on_conflict=OnConflict.UPDATE))

    assert (made.vms["a"].id, made.vms["a"].vcpus) == (uuid(1), 9)


def test_on_conflict_keep_leaves_ours_as_it_is() -> None:
    plan = plan_import(cluster(vm("a", 1)), document(vm("a", 8, vcpus=9)), merge(on_conflict=OnConflict.KEEP))

    assert kinds(plan) == {"a": "keep"}
    assert plan.is_empty


def test_on_conflict_rename_gives_name_2_found_again_at_the_second_import() -> None:
    incoming = document(vm("a", 8), cluster_id=THERE)
    once = applied(cluster(vm("a", 1), vm("a-2", 2)), incoming, merge(on_conflict=OnConflict.RENAME))

    again = plan_import(once, incoming, merge(on_conflict=OnConflict.RENAME))

    assert sorted(once.vms) == ["a", "a-2", "a-3"]
    assert again.is_empty


def test_a_renamed_copy_is_found_again_without_the_option_too() -> None:
    incoming = document(vm("a", 8), cluster_id=THERE)
    once = applied(cluster(vm("a", 1)), incoming, merge(on_conflict=OnConflict.RENAME))

    assert plan_import(once, incoming, MERGE).is_empty


def test_a_renamed_name_never_grows_over_63_characters() -> None:
    long = "a" * 63

    made = applied(cluster(vm(long, 1)), document(vm(long, 2)), merge(on_conflict=OnConflict.RENAME))

    assert sorted(made.vms) == ["a" * 61 + "-2", long]


def test_match_name_takes_a_vm_of_the_same_name_as_the_same() -> None:
    plan = plan_import(cluster(vm("a", 1)), document(vm("a", 8, vcpus=9)), merge(match=MatchBy.NAME))

    assert kinds(plan) == {"a": "update"}
    assert vm_change(plan, "a").id == uuid(1)


def test_two_vms_can_change_names_with_each_other() -> None:
    plan = plan_import(cluster(vm("a", 1), vm("b", 2)), document(vm("b", 1), vm("a", 2)), MERGE)

    assert {each.id: each.name for each in plan.vms} == {uuid(1): "b", uuid(2): "a"}


def test_a_vm_whose_new_name_is_another_vms_here_keeps_its_own() -> None:
    here = cluster(vm("a", 1), vm("b", 2), vm("c", 3))

    plan = plan_import(here, document(vm("a", 2), vm("b", 3)), MERGE)

    assert kinds(plan) == {"a": "keep", "b": "keep", "c": "keep"}


def test_a_copy_of_another_cluster_keeps_its_id_and_gets_an_origin() -> None:
    made = applied(cluster(), document(vm("a", 1), cluster_id=THERE)).vms["a"]

    assert (made.id, made.origin) == (uuid(1), Origin(cluster_id=THERE, vm_id=uuid(1)))


def test_a_vm_without_an_id_gets_one_and_keeps_it_at_the_second_import() -> None:
    once = applied(cluster(), original(original_vm("a"), original_vm("b")))

    assert len({each.id for each in once.vms.values()}) == 2
    assert plan_import(once, original(original_vm("a"), original_vm("b")), ImportOptions()).is_empty


def test_a_vm_without_an_id_never_gets_the_id_of_one_that_was_renamed_since() -> None:
    once = applied(cluster(), original(original_vm("a")))
    renamed = structs.replace(once.vms["a"], name="z")

    made = applied(cluster(renamed), original(original_vm("a")), MERGE)

    assert made.vms["a"].id != made.vms["z"].id


def test_our_own_file_put_back_gives_the_state_it_was_made_of() -> None:
    before = cluster(vm("a", 1, hold=Hold.IMPORTED, untrusted=("/config_path",)), vm("b", 2, labels={"x": "y"}))
    later = cluster(vm("a", 1, vcpus=64), vm("c", 3))

    made = applied(later, document_of(before))

    assert (made.vms, made.nodes) == (before.vms, before.nodes)


def test_in_the_same_cluster_a_copy_is_not_its_original() -> None:
    copy = vm("copy", 9, origin=Origin(cluster_id=HERE, vm_id=uuid(1)))

    plan = plan_import(cluster(copy), document(vm("web-1", 1)), MERGE)

    assert kinds(plan) == {"copy": "keep", "web-1": "create"}


def test_two_disks_that_name_the_same_image_are_malformed() -> None:
    incoming = document(vm("a", 1, disks=(disk("root", image=0),)), vm("b", 2, disks=(disk("root", image=0),)))

    with pytest.raises(MalformedExport, match="image 0 is named by both `a/root` and `b/root`"):
        plan_import(cluster(), incoming, ImportOptions())


def test_an_import_into_a_new_cluster_is_never_empty() -> None:
    plan = plan_import(cluster(revision=0), document(), ImportOptions(new_cluster=True))

    assert plan.target.new
    assert not plan.is_empty


def test_a_rename_reaches_an_existing_vm_of_the_same_id() -> None:
    rules = Rules(rename=dict([parse_rename("vm:a=z")]))

    plan = plan_import(cluster(vm("a", 1)), document(vm("a", 1)), ImportOptions(rules=rules))

    assert kinds(plan) == {"z": "update"}
