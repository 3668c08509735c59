"""The rules of DESIGN.md section 6 on nodes and placement, one test each."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from blixard.errors import UsageError
from blixard.model.structs import ClusterSnapshot, Node, NodeState, Topology
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.rules import Rules
from blixard.plan.scope import parse_scope
from blixard.plan.values import Action, Move
from support import documents
from support.planning import THERE, applied, cluster, document, node_change, vm

RACK = Topology(datacenter="dc1", zone="z1", rack="r1")


def node(node_id: int = 1, **fields: Any) -> Node:
    return documents.node(node_id, **fields)


def absent(node_id: int, **fields: Any) -> Node:
    return node(node_id, state=NodeState.ABSENT, **fields)


def new_cluster(**fields: Any) -> ClusterSnapshot:
    return cluster(nodes=[node(1, data_dir="/here", bind_addr="10.9.9.9:1")], revision=0, **fields)


def test_of_the_importing_node_only_labels_and_topology_are_taken() -> None:
    here = cluster(nodes=[node(1, data_dir="/here", vm_backend="qemu", metrics_port=9000)])
    theirs = node(1, data_dir="/there", vm_backend="microvm", metrics_port=1, labels={"a": "b"}, topology=RACK)

    made = applied(here, document(nodes=[theirs])).nodes[1]

    assert (made.labels, made.topology) == ({"a": "b"}, RACK)
    assert (made.data_dir, made.vm_backend, made.metrics_port) == ("/here", "qemu", 9000)


def test_labels_of_another_cluster_are_not_taken() -> None:
    plan = plan_import(cluster(), document(nodes=[node(1, labels={"a": "b"})], cluster_id=THERE), ImportOptions())

    assert node_change(plan, 1).kind is Action.KEEP


def test_an_adopted_node_gives_its_labels_and_its_vms() -> None:
    here = cluster(nodes=[node(3)])
    incoming = document(vm("a", 1, node_id=2), nodes=[node(2, labels={"rack": "7"})], cluster_id=THERE)

    made = applied(here, incoming, ImportOptions(adopt_node=2))

    assert made.nodes[3].labels == {"rack": "7"}
    assert made.vms["a"].node_id == 3


def test_adopting_a_node_that_the_file_does_not_have_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="node `9`"):
        plan_import(cluster(), document(), ImportOptions(adopt_node=9))


def test_a_merge_adds_labels_and_topology_by_key() -> None:
    here = cluster(nodes=[node(1, labels={"a": "1", "b": "2"}, topology=RACK)])
    theirs = node(1, labels={"b": "3"}, topology=Topology(datacenter="dc2", zone="z1", rack="r1"))

    made = applied(here, document(nodes=[theirs]), ImportOptions(mode=Mode.MERGE)).nodes[1]

    assert made.labels == {"a": "1", "b": "3"}
    assert made.topology == Topology(datacenter="dc2", zone="z1", rack="r1")


def test_a_live_node_is_never_removed_or_changed_by_a_file() -> None:
    here = cluster(nodes=[node(1), node(2, data_dir="/two"), node(3)])

    plan = plan_import(here, document(nodes=[node(1), node(2, data_dir="/other", labels={"x": "y"})]), ImportOptions())

    assert {each.id: each.kind for each in plan.nodes} == {1: Action.KEEP, 2: Action.KEEP, 3: Action.KEEP}


def test_a_node_of_the_same_cluster_that_is_gone_comes_back_as_a_record() -> None:
    made = applied(cluster(), document(nodes=[node(1), node(2)]))

    assert made.nodes[2] == absent(2)


def test_a_replace_takes_away_a_record_that_the_file_does_not_have() -> None:
    made = applied(cluster(nodes=[node(1), absent(2)]), document(nodes=[node(1)]))

    assert set(made.nodes) == {1}


def test_a_record_stays_while_a_vm_outside_the_scope_stands_on_it() -> None:
    here = cluster(vm("a", 1, node_id=2), nodes=[node(1), absent(2)])
    options = ImportOptions(rules=Rules(scope=parse_scope(excluded=["vm=a"])))

    assert set(applied(here, document(nodes=[node(1)]), options).nodes) == {1, 2}


def test_nodes_of_another_cluster_are_left_out() -> None:
    plan = plan_import(cluster(), document(nodes=[node(1), node(2)], cluster_id=THERE), ImportOptions())

    assert plan.left_out_nodes == (1, 2)
    assert [each.id for each in plan.nodes] == [1]


def test_with_nodes_brings_them_as_absent_records_under_free_ids_and_finds_them_again() -> None:
    incoming = document(nodes=[node(1, data_dir="/t1"), node(2, data_dir="/t2")], cluster_id=THERE)
    options = ImportOptions(with_nodes=True)

    once = applied(cluster(), incoming, options)

    assert {node_id: (each.data_dir, each.state) for node_id, each in once.nodes.items()} == {
        1: ("/var/lib/n1", NodeState.ACTIVE),
        2: ("/t2", NodeState.ABSENT),
        3: ("/t1", NodeState.ABSENT),
    }
    assert plan_import(once, incoming, options).is_empty


def test_in_a_new_cluster_the_importing_node_takes_the_place_of_the_exporting_one() -> None:
    incoming = document(nodes=[node(4, labels={"a": "b"}, topology=RACK), node(5)], exported_by=4, cluster_id=THERE)

    made = applied(new_cluster(), incoming, ImportOptions(new_cluster=True))

    assert made.self_node == 4
    assert made.nodes[4] == node(4, data_dir="/here", bind_addr="10.9.9.9:1", labels={"a": "b"}, topology=RACK)
    assert made.nodes[5] == absent(5)
    assert set(made.nodes) == {4, 5}


def test_in_a_new_cluster_node_id_chooses_the_place() -> None:
    incoming = document(nodes=[node(4), node(5, labels={"x": "y"})], exported_by=4, cluster_id=THERE)

    made = applied(new_cluster(), incoming, ImportOptions(new_cluster=True, node_id=5))

    assert (made.self_node, made.nodes[5].labels, made.nodes[4].state) == (5, {"x": "y"}, NodeState.ABSENT)


def test_the_second_import_into_a_new_cluster_changes_nothing() -> None:
    incoming = document(vm("a", 1, node_id=4), vm("b", 2, node_id=5), nodes=[node(4), node(5)], exported_by=4,
                        cluster_id=THERE)  # fmt: skip
    once = applied(new_cluster(), incoming, ImportOptions(new_cluster=True))

    assert plan_import(once, incoming, ImportOptions()).is_empty


def test_a_vm_keeps_its_node_when_it_is_there_and_of_the_same_cluster() -> None:
    plan = plan_import(cluster(nodes=[node(1), node(2)]), document(vm("a", 1, node_id=2)), ImportOptions())

    assert plan.vms[0].after is not None
    assert plan.vms[0].after.node_id == 2
    assert plan.moves == ()


def test_a_vm_whose_node_is_absent_is_placed_on_the_importing_node_and_the_plan_says_so() -> None:
    plan = plan_import(cluster(), document(vm("a", 1, node_id=2), nodes=[node(1), node(2)]), ImportOptions())

    assert plan.moves == (Move("a", 2, 1),)
    assert plan.moves[0].text() == "node 2 -> 1"


def test_a_vm_of_another_cluster_is_placed_on_the_importing_node() -> None:
    here = cluster(nodes=[node(1), node(2)])

    plan = plan_import(here, document(vm("a", 1, node_id=2), cluster_id=THERE), ImportOptions())

    assert plan.moves == (Move("a", 2, 1),)


def test_a_copy_that_was_placed_elsewhere_since_stays_there() -> None:
    incoming = document(vm("a", 1, node_id=1), cluster_id=THERE)
    once = applied(cluster(nodes=[node(1), node(2)]), incoming)
    moved = cluster(structs.replace(once.vms["a"], node_id=2), nodes=[node(1), node(2)])

    assert plan_import(moved, incoming, ImportOptions()).is_empty


def test_map_node_decides_otherwise() -> None:
    here = cluster(nodes=[node(1), node(2)])
    options = ImportOptions(rules=Rules(map_node={7: 2}))

    made = applied(here, document(vm("a", 1, node_id=7), cluster_id=THERE), options)

    assert made.vms["a"].node_id == 2


def test_mapping_to_a_node_that_is_not_there_is_a_usage_error() -> None:
    options = ImportOptions(rules=Rules(map_node={1: 8}))

    with pytest.raises(UsageError, match="node `8`"):
        plan_import(cluster(), document(vm("a", 1)), options)


def test_a_file_without_placement_leaves_a_vm_where_it_is() -> None:
    here = cluster(vm("a", 1, node_id=2), nodes=[node(1), node(2)])

    assert plan_import(here, document(vm("a", 1, node_id=None)), ImportOptions()).is_empty


def test_nodes_that_vms_need_and_that_are_not_here_are_named() -> None:
    plan = plan_import(cluster(), document(vm("a", 1, node_id=2), vm("b", 2, node_id=1)), ImportOptions())

    assert plan.missing_nodes == (2,)
