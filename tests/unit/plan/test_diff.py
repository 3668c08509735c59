"""Differences, field by field, of states and of single objects."""

from __future__ import annotations

from msgspec import UNSET, structs

from blixard.model.structs import Network
from blixard.plan.diff import diff_states, state_of_cluster, state_of_document
from blixard.plan.fields import differences
from blixard.plan.values import Action, FieldChange
from support.documents import disk, node
from support.planning import (
    cluster,
    content,
    disk_key,
    document,
    document_of,
    original,
    original_vm,
    vm,
)
from support.state_digest import state_digest


def test_two_exports_of_one_cluster_do_not_differ() -> None:
    here = cluster(vm("a", 1, disks=(disk(),)))
    later = document_of(here, revision=99, exporter="blixard 9", provenance={"cluster_name": "x"})

    assert diff_states(state_of_document(document_of(here)), state_of_document(later)).is_empty


def test_with_volatile_fields_they_do() -> None:
    here = cluster()
    first, second = (state_of_document(document_of(here, revision=n)) for n in (1, 2))

    assert diff_states(first, second, volatile=True).head == (FieldChange("/revision", 1, 2),)


def test_a_cluster_and_its_export_do_not_differ() -> None:
    here = cluster(vm("a", 1, disks=(disk(),)))

    assert diff_states(state_of_cluster(here), state_of_document(document_of(here))).is_empty


def test_what_was_made_changed_and_deleted_is_told_field_by_field() -> None:
    before = cluster(vm("a", 1, vcpus=1), vm("b", 2), nodes=[node(1), node(2)])
    after = cluster(vm("a", 1, vcpus=9), vm("c", 3), nodes=[node(1, labels={"x": "y"})])

    found = diff_states(state_of_cluster(before), state_of_cluster(after))

    assert [(each.name, each.kind) for each in found.vms] == [
        ("a", Action.UPDATE),
        ("b", Action.DELETE),
        ("c", Action.CREATE),
    ]
    assert found.vms[0].fields == (FieldChange("/vcpus", 1, 9),)
    assert [(each.id, each.kind) for each in found.nodes] == [(1, Action.UPDATE), (2, Action.DELETE)]


def test_a_renamed_vm_is_one_vm() -> None:
    found = diff_states(state_of_cluster(cluster(vm("a", 1))), state_of_cluster(cluster(vm("b", 1))))

    assert [(each.name, each.fields) for each in found.vms] == [("b", (FieldChange("/name", "a", "b"),))]


def test_vms_without_ids_are_found_by_name() -> None:
    before, after = (state_of_document(original(original_vm(vcpus=n))) for n in (1, 2))

    assert diff_states(before, after).vms[0].fields == (FieldChange("/vcpus", 1, 2),)
    assert diff_states(before, state_of_document(document(vm("web-1", 1, vcpus=1)))).vms[0].kind is Action.UPDATE


def test_contents_differ_by_digest_where_both_are_known() -> None:
    here = cluster(vm("a", 1))
    before = state_of_cluster(here, {("a", "root"): "11", ("a", "x"): "1"})
    after = state_of_cluster(here, {("a", "root"): "22", ("a", "y"): "2"})

    assert diff_states(before, after).contents == (FieldChange("/a/root", "11", "22"),)


def test_a_disk_in_front_does_not_change_those_after_it() -> None:
    before = {"disks": [{"name": "b", "bus": "x"}]}
    after = {"disks": [{"name": "a", "bus": "x"}, {"name": "b", "bus": "y"}]}

    assert differences(before, after) == (
        FieldChange("/disks/0", UNSET, {"name": "a", "bus": "x"}),
        FieldChange("/disks/1/bus", "x", "y"),
    )


def test_a_new_order_is_a_difference() -> None:
    one, two = {"name": "a"}, {"name": "b"}

    assert differences({"n": [one, two]}, {"n": [two, one]}) == (FieldChange("/n", ["a", "b"], ["b", "a"]),)


def test_absent_and_null_differ_and_so_do_true_and_one() -> None:
    assert differences({}, {"x": None}) == (FieldChange("/x", UNSET, None),)
    assert differences({"x": 1}, {}) == (FieldChange("/x", 1, UNSET),)
    assert differences({"x": 1}, {"x": True}) == (FieldChange("/x", 1, True),)


def test_a_secret_that_differs_is_told_without_its_value() -> None:
    found = differences({"m": {"p": "a"}}, {"m": {"p": "b"}}, secret=["/m/p"])

    assert found == (FieldChange("/m/p", "(secret)", "(secret)"),)


def test_a_secret_is_not_told_by_what_stands_around_it() -> None:
    assert differences({"m": None}, {"m": {"p": "b"}}, secret=["/m/p"])[0].after == "(secret)"


def test_the_digest_of_a_state_does_not_depend_on_order_or_revision() -> None:
    a, b = vm("a", 1, networks=(Network(name="n"),)), vm("b", 2)

    assert state_digest(cluster(a, b, revision=1)) == state_digest(cluster(b, a, revision=2))


def test_the_digest_of_a_state_depends_on_all_that_counts() -> None:
    a = vm("a", 1)
    here = cluster(a)
    others = [
        cluster(structs.replace(a, vcpus=9)),
        cluster(a, nodes=[node(1, labels={"x": "y"})]),
        cluster(a, contents={disk_key(a): content()}),
        cluster(),
    ]

    assert len({state_digest(each) for each in [here, *others]}) == 5
