"""DESIGN.md section 6 through the command line: the machine stays itself, and VMs stand on nodes that are there."""

from __future__ import annotations

import json
from pathlib import Path

from support.lab import Lab


def test_nodes_of_another_cluster_are_left_out_unless_asked_for(lab: Lab) -> None:
    lab.target.run("cluster", "init", "mine")

    told = lab.target.load(lab / "state.json.gz", "--merge")
    left = [node["id"] for node in lab.target.export()["nodes"]]
    lab.target.load(lab / "state.json.gz", "--merge", "--with-nodes")

    assert "nodes of another cluster left out" in told.err
    assert left == [1]
    assert [node["state"] for node in lab.target.export()["nodes"]] == ["active", "absent", "absent"]


def test_a_new_cluster_takes_the_place_of_the_exporting_node_and_keeps_the_others_as_records(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz")

    nodes = {node["id"]: node for node in lab.target.export()["nodes"]}
    assert {node_id: node["state"] for node_id, node in nodes.items()} == {1: "active", 2: "absent"}
    assert nodes[1]["data_dir"] == str(lab.target.data)


def test_another_place_is_taken_when_it_is_named(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz", "--node-id", "2")

    document = lab.target.export()
    assert document["exported_by_node"] == 2
    assert {node["id"]: node["state"] for node in document["nodes"]} == {1: "absent", 2: "active"}


def test_a_living_node_is_never_removed_or_changed_by_a_file(lab: Lab) -> None:
    document = json.loads((lab / "state.json").read_text())
    del document["integrity"]
    document["nodes"] = [{**document["nodes"][0], "data_dir": "/evil", "labels": {"rack": "9"}}]
    before = {node["id"]: node for node in lab.source.export()["nodes"]}

    lab.source.load(lab.write("fewer.json", document))

    after = {node["id"]: node for node in lab.source.export()["nodes"]}
    assert after[2] == before[2]
    assert after[1] == {**before[1], "labels": {"rack": "9"}}


def placed_on_2(lab: Lab) -> Path:
    return lab.edited("on-2.json", web_1={"node_id": 2})


def test_a_vm_of_another_cluster_is_placed_here_and_the_plan_says_so(lab: Lab) -> None:
    lab.target.run("cluster", "init", "mine")

    told = lab.target.load(placed_on_2(lab), "--merge")

    assert "node 2 -> 1: `web-1`" in told.err
    assert lab.target.vms()["web-1"]["node_id"] == 1


def test_a_vm_keeps_its_node_in_its_own_cluster(lab: Lab) -> None:
    lab.source.load(placed_on_2(lab), "--merge")

    assert lab.source.vms()["web-1"]["node_id"] == 2


def test_the_operator_maps_a_node(lab: Lab) -> None:
    lab.target.run("cluster", "init", "mine")
    lab.target.run("node", "add", "--bind-addr", "10.9.9.9:7001", "--id", "5")

    lab.target.load(placed_on_2(lab), "--merge", "--map-node", "2=5")

    assert lab.target.vms()["web-1"]["node_id"] == 5


def test_an_adopted_node_gives_labels_and_topology_and_its_vms(lab: Lab) -> None:
    document = json.loads((lab / "state.json").read_text())
    del document["integrity"]
    topology = {"datacenter": "dc", "zone": "z", "rack": "r"}
    document["nodes"][1].update(labels={"kind": "big"}, topology=topology, data_dir="/not-mine")
    document["vms"]["web-1"]["node_id"] = 2
    lab.target.run("cluster", "init", "mine")

    lab.target.load(lab.write("adopt.json", document), "--merge", "--adopt-node", "2")

    [node] = lab.target.export()["nodes"]
    assert (node["id"], node["labels"], node["topology"]) == (1, {"kind": "big"}, topology)
    assert node["data_dir"] == str(lab.target.data)
    assert lab.target.vms()["web-1"]["node_id"] == 1
