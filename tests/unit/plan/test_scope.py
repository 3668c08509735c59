"""Selectors, and the rules of DESIGN.md section 6 on scope."""

from __future__ import annotations

from typing import Any

import pytest

from blixard.errors import InvalidField, UsageError
from blixard.model.structs import Origin
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.rules import Rules
from blixard.plan.scope import WHOLE, parse_scope, parse_selector, scope_of_file
from support.documents import node, uuid
from support.planning import THERE, cluster, document, kinds, vm


def only(*texts: str, **fields: Any) -> ImportOptions:
    return ImportOptions(rules=Rules(scope=parse_scope(texts), **fields))


@pytest.mark.parametrize("text", ["", "vm", "vm=", "host=x", "node=one", "label=env"])
def test_what_is_no_selector_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a selector|a node id|a label"):
        parse_selector(text)


def test_selectors_read_back_as_they_were_written() -> None:
    assert [parse_selector(text).text() for text in ("vm=web-*", "node=2", "label=a=b=c")] == [
        "vm=web-*",
        "node=2",
        "label=a=b=c",
    ]


def test_selectors_select_by_glob_node_and_label() -> None:
    web = vm("web-1", 1, node_id=2, labels={"env": "prod"})

    for text, selected in [("vm=web-*", True), ("vm=WEB-*", False), ("node=2", True), ("node=1", False),
                           ("label=env=prod", True), ("label=env=dev", False)]:  # fmt: skip
        assert parse_scope([text]).selects_vm(web) is selected
        assert parse_scope([], [text]).selects_vm(web) is not selected


def test_a_scope_goes_through_a_file() -> None:
    scope = parse_scope(["vm=web-*"], ["node=2"])

    assert scope_of_file(scope.to_object()) == scope
    assert WHOLE.to_object() is None
    assert scope_of_file(None) == WHOLE


@pytest.mark.parametrize("given", [{"only": "vm=a"}, {"vms": []}, {"only": [1]}, {"only": ["what"]}])
def test_a_scope_that_is_not_understood_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidField, match=r"metadata\.scope"):
        scope_of_file(given)


def test_a_replace_deletes_inside_the_scope_only() -> None:
    here = cluster(vm("web-1", 1), vm("web-2", 2), vm("db", 3))

    plan = plan_import(here, document(vm("web-1", 1), vm("db", 3, vcpus=9)), only("vm=web-*"))

    assert kinds(plan) == {"db": "keep", "web-1": "keep", "web-2": "delete"}


def test_the_scope_of_the_file_bounds_a_replace_too() -> None:
    here = cluster(vm("web-1", 1), vm("db", 3))

    plan = plan_import(here, document(vm("web-2", 2), scope={"only": ["vm=web-*"], "except": []}), ImportOptions())

    assert kinds(plan) == {"db": "keep", "web-1": "delete", "web-2": "create"}


def test_a_vm_that_the_file_has_outside_the_scope_is_not_deleted() -> None:
    here = cluster(vm("a", 1, labels={"env": "prod"}))

    plan = plan_import(here, document(vm("a", 1, labels={"env": "dev"})), only("label=env=prod"))

    assert kinds(plan) == {"a": "keep"}


def test_a_node_of_another_cluster_is_no_reason_to_delete_here() -> None:
    here = cluster(vm("a", 1), vm("copy", 9, origin=Origin(cluster_id=THERE, vm_id=uuid(9))))

    plan = plan_import(here, document(vm("b", 2), cluster_id=THERE), only("node=1"))

    assert kinds(plan) == {"a": "keep", "b": "create", "copy": "keep"}


def test_a_vm_that_no_source_name_leads_to_is_outside_a_scope_by_name() -> None:
    here = cluster(vm("web-1", 1), vm("p-web-2", 2))

    plan = plan_import(here, document(vm("web-3", 3)), only("vm=web-*", prefix="p-"))

    assert kinds(plan) == {"p-web-2": "delete", "p-web-3": "create", "web-1": "keep"}


def test_a_name_that_is_taken_outside_the_scope_is_a_conflict_even_in_a_replace() -> None:
    incoming = document(vm("db", 2, labels={"env": "prod"}))

    plan = plan_import(cluster(vm("db", 1)), incoming, only("label=env=prod"))

    assert kinds(plan) == {"db": "conflict"}


def test_a_scope_of_vms_touches_no_node() -> None:
    incoming = document(vm("a", 1), nodes=[node(1, labels={"x": "y"}), node(2)])

    plan = plan_import(cluster(), incoming, only("vm=a"))

    assert {each.id: each.kind.value for each in plan.nodes} == {1: "keep"}


def test_a_merge_keeps_to_the_scope() -> None:
    options = ImportOptions(mode=Mode.MERGE, rules=Rules(scope=parse_scope([], ["vm=b"])))

    assert kinds(plan_import(cluster(), document(vm("a", 1), vm("b", 2)), options)) == {"a": "create"}


@pytest.mark.parametrize(
    ("selectors", "told"),
    [
        (["vm=a"], []),
        (["vm=p-a"], ["vm=p-a"]),
        (["vm=a", "vm=nosuch", "label=env=prod"], ["vm=nosuch", "label=env=prod"]),
        (["vm=gone"], []),
        (["node=1"], []),
        (["node=7"], ["node=7"]),
    ],
)
def test_a_selector_that_names_nothing_on_either_side_is_told(selectors: list[str], told: list[str]) -> None:
    plan = plan_import(cluster(vm("p-gone", 2)), document(vm("a", 1), nodes=[node(1)]), only(*selectors, prefix="p-"))

    assert plan.warnings == tuple(
        f"`--only {each}` names nothing, neither in the file nor in the cluster" for each in told
    )


def test_what_is_left_out_need_not_be_there() -> None:
    options = ImportOptions(rules=Rules(scope=parse_scope([], ["vm=nosuch"])))

    assert plan_import(cluster(), document(vm("a", 1)), options).warnings == ()
