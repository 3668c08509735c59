from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blixard.errors import Conflict, InvalidField, NotFound, RefusedError
from blixard.model.structs import Node
from blixard.ops.cluster.nodes import MAX_MINTED_ID, NodeSpec, add_node, find_node, remove_node
from blixard.ops.vm.create import create_vm
from blixard.ops.vm.specs import VmSpec
from blixard.site.open_cluster import OpenCluster
from support.clusters import Watched, a_cluster


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenCluster]:
    with a_cluster(tmp_path) as cluster:
        yield cluster


def add(opened: OpenCluster, **fields: Any) -> Node:
    return add_node(opened, NodeSpec(**{"bind_addr": "10.0.0.2:7001", "data_dir": "/d", **fields}))


def test_a_node_gets_the_next_free_id(opened: OpenCluster) -> None:
    assert [add(opened).id, add(opened).id, add(opened, id=9).id, add(opened).id] == [2, 3, 9, 10]


def test_ids_that_jq_would_round_are_never_minted(opened: OpenCluster) -> None:
    add(opened, id=MAX_MINTED_ID)

    assert add(opened).id == 2


def test_every_field_arrives(opened: OpenCluster) -> None:
    add(opened, name="host-2", labels={"a": "b"}, zone="z1", vm_backend="mock")

    node = opened.snapshot().nodes[2]
    assert (node.name, node.labels, node.vm_backend) == ("host-2", {"a": "b"}, "mock")
    assert node.topology.zone == "z1"  # type: ignore[union-attr]


@pytest.mark.parametrize("address", ["10.0.0.2", "10.0.0.2:99999", ":80", "a b:1", "fd00::2:7001"])
def test_an_address_has_a_host_and_a_port(opened: OpenCluster, address: str) -> None:
    with pytest.raises(InvalidField, match=r"node\.bind_addr"):
        add(opened, bind_addr=address)


def test_an_ipv6_address_is_fine(opened: OpenCluster) -> None:
    assert add(opened, bind_addr="[fd00::2]:7001").bind_addr == "[fd00::2]:7001"


def test_ids_and_names_are_taken_once(opened: OpenCluster) -> None:
    add(opened, name="host-2")

    with pytest.raises(Conflict, match="node 1"):
        add(opened, id=1)
    with pytest.raises(Conflict, match="`host-2`"):
        add(opened, name="host-2")


def test_a_node_is_found_by_id_and_by_name(opened: OpenCluster) -> None:
    add(opened, name="host-2")
    snapshot = opened.snapshot()

    assert find_node(snapshot, "2") == find_node(snapshot, "host-2")
    with pytest.raises(NotFound, match="`host-3`"):
        find_node(snapshot, "host-3")


def test_a_node_is_removed_unless_it_is_this_one_or_has_vms(opened: OpenCluster) -> None:
    add(opened)
    add(opened)
    create_vm(opened, VmSpec(name="web-1", fields={"node_id": 3}), Watched())

    remove_node(opened, "2")

    assert list(opened.snapshot().nodes) == [1, 3]
    with pytest.raises(RefusedError, match="this one"):
        remove_node(opened, "1")
    with pytest.raises(Conflict, match="`web-1`"):
        remove_node(opened, "3")
