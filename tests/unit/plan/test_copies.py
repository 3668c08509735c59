"""The rules of DESIGN.md section 6 on copies: held, addresses in use, new identity, trust."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from blixard.model.structs import Hold, Network, Origin
from blixard.plan.identity import derived_id, derived_mac
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode, OnConflict
from blixard.plan.rules import Rules
from blixard.plan.values import Action, Collision, Inert
from support.documents import uuid
from support.planning import (
    HERE,
    THERE,
    applied,
    cluster,
    document,
    original,
    original_vm,
    vm,
    vm_change,
)

NIC = Network(name="eth0", bridge="br0", mac="52:54:00:00:00:01", ip="10.0.0.5")


def lab(*vms: Any) -> Any:
    return document(*vms, cluster_id=THERE, name="lab")


def test_vms_of_another_cluster_are_held() -> None:
    plan = plan_import(cluster(), lab(vm("a", 1), vm("b", 2)), ImportOptions())

    assert plan.held == ("a", "b")
    assert applied(cluster(), lab(vm("a", 1))).vms["a"].hold is Hold.IMPORTED


def test_vms_of_the_original_blixard_are_held() -> None:
    assert plan_import(cluster(), original(original_vm()), ImportOptions()).held == ("web-1",)


def test_vms_of_the_same_cluster_are_not_held() -> None:
    assert plan_import(cluster(), document(vm("a", 1)), ImportOptions()).held == ()


def test_start_names_the_vms_that_are_not_held() -> None:
    options = ImportOptions(start=("web-*",))

    plan = plan_import(cluster(), lab(vm("web-1", 1), vm("db", 2)), options)

    assert (plan.held, plan.starts) == (("db",), ("web-1",))


def test_start_releases_what_an_earlier_import_held() -> None:
    once = applied(cluster(), lab(vm("a", 1)))

    assert applied(once, lab(vm("a", 1)), ImportOptions(start=("*",))).vms["a"].hold is None


def test_start_that_names_nothing_is_told() -> None:
    assert plan_import(cluster(), lab(vm("a", 1)), ImportOptions(start=("z*",))).warnings == (
        "`--start z*` names no VM of this import",
    )


def test_a_vm_that_was_released_is_not_held_again() -> None:
    released = structs.replace(applied(cluster(), lab(vm("a", 1))).vms["a"], hold=None)

    assert plan_import(cluster(released), lab(vm("a", 1)), ImportOptions()).is_empty


def test_a_file_cannot_say_that_its_vms_are_not_held() -> None:
    assert applied(cluster(), lab(vm("a", 1, hold=None, untrusted=()))).vms["a"].hold is Hold.IMPORTED


def test_mac_and_ip_in_use_are_listed() -> None:
    here = cluster(vm("old", 1, networks=(NIC,)))
    incoming = lab(vm("new", 2, ip_address="10.0.0.5", networks=(structs.replace(NIC, mac="52:54:00:00:00:01"),)))

    plan = plan_import(here, incoming, ImportOptions(mode=Mode.MERGE))

    assert plan.collisions == (
        Collision("ip", "10.0.0.5", "new", ("old",)),
        Collision("mac", "52:54:00:00:00:01", "new", ("old",)),
    )


def test_a_uuid_in_use_in_another_cluster_of_this_machine_is_listed() -> None:
    other = cluster(vm("a", 1), id=THERE, name="lab")

    plan = plan_import(cluster(), lab(vm("a", 1)), ImportOptions(), others=(other,))

    assert plan.collisions == (Collision("uuid", uuid(1), "a", ("lab/a",)),)


def test_addresses_of_what_is_replaced_are_not_in_use() -> None:
    here = cluster(vm("old", 1, networks=(NIC,)))

    assert plan_import(here, lab(vm("new", 2, networks=(NIC,))), ImportOptions()).collisions == ()


def test_new_identity_derives_id_and_mac_and_finds_the_copy_again() -> None:
    original_one = vm("web", 1, networks=(NIC,))
    options = ImportOptions(mode=Mode.MERGE, new_identity=True, rules=Rules(prefix="copy-"))

    once = applied(cluster(original_one), document(original_one), options)

    copy = once.vms["copy-web"]
    assert copy.id == derived_id(HERE, uuid(1))
    assert copy.networks[0].mac == derived_mac(HERE, uuid(1), "eth0")
    assert copy.origin == Origin(cluster_id=HERE, vm_id=uuid(1))
    assert once.vms["web"] == original_one
    assert plan_import(once, document(original_one), options).is_empty


def test_a_derived_mac_is_local_and_unicast() -> None:
    first = int(derived_mac(HERE, uuid(1), "eth0")[:2], 16)

    assert first & 0b11 == 0b10


def test_identities_differ_between_target_clusters() -> None:
    assert derived_id(HERE, uuid(1)) != derived_id(THERE, uuid(1))


def test_a_copy_with_its_own_identity_keeps_it_when_it_is_updated_without_the_option() -> None:
    once = applied(cluster(), lab(vm("a", 1, networks=(NIC,))), ImportOptions(new_identity=True))

    again = applied(once, lab(vm("a", 1, networks=(NIC,), vcpus=9)))

    assert again.vms["a"].vcpus == 9
    assert (again.vms["a"].id, again.vms["a"].networks) == (once.vms["a"].id, once.vms["a"].networks)


def test_host_paths_bridges_and_commands_of_another_cluster_are_listed_and_inert() -> None:
    incoming = vm("a", 1, networks=(NIC,), boot={"kernel": "/k"}, health_check_config={"checks": []})

    plan = plan_import(cluster(), lab(incoming), ImportOptions())

    pointers = ("/config_path", "/health_check_config", "/boot", "/networks/0/bridge")
    assert plan.untrusted == (Inert("a", pointers),)
    assert applied(cluster(), lab(incoming)).vms["a"].untrusted == pointers


def test_fields_of_the_same_cluster_are_in_effect() -> None:
    assert applied(cluster(), document(vm("a", 1))).vms["a"].untrusted == ()


def test_trust_host_paths_puts_them_into_effect() -> None:
    assert applied(cluster(), lab(vm("a", 1)), ImportOptions(trust_host_paths=True)).vms["a"].untrusted == ()


def test_what_was_trusted_stays_so_until_its_value_changes() -> None:
    trusted = structs.replace(applied(cluster(), lab(vm("a", 1, boot={"k": 1}))).vms["a"], untrusted=())

    assert plan_import(cluster(trusted), lab(vm("a", 1, boot={"k": 1})), ImportOptions()).is_empty
    assert applied(cluster(trusted), lab(vm("a", 1, boot={"k": 2}))).vms["a"].untrusted == ("/boot",)


def test_trust_follows_an_interface_to_its_new_place() -> None:
    first, second = Network(name="x", bridge="br1"), Network(name="y", bridge="br2")
    here = vm("a", 1, networks=(first, second), untrusted=("/networks/1/bridge",))

    made = applied(cluster(here), lab(vm("a", 1, networks=(second, first)))).vms["a"]

    assert made.untrusted == ("/networks/0/bridge",)


def test_what_the_operator_sets_himself_is_in_effect() -> None:
    rules = Rules(map_network={"br0": "br7"}, sets=(("/vms/a/config_path", "/mine"),))

    made = applied(cluster(), lab(vm("a", 1, networks=(NIC,))), ImportOptions(rules=rules)).vms["a"]

    assert (made.networks[0].bridge, made.config_path, made.untrusted) == ("br7", "/mine", ())


def test_a_merge_marks_only_what_it_takes_from_the_file() -> None:
    here = cluster(vm("a", 1, config_path="/ours"))

    made = applied(here, lab({"name": "a", "id": uuid(1), "config_path": "/ours", "vcpus": 9, "memory": 512}),
                   ImportOptions(mode=Mode.MERGE))  # fmt: skip

    assert (made.vms["a"].vcpus, made.vms["a"].untrusted) == (9, ())


def test_a_stranger_updating_our_vm_does_not_hold_it() -> None:
    options = ImportOptions(mode=Mode.MERGE, on_conflict=OnConflict.UPDATE)

    plan = plan_import(cluster(vm("a", 1)), lab(vm("a", 2, vcpus=9)), options)

    assert vm_change(plan, "a").kind is Action.UPDATE
    assert plan.held == ()
