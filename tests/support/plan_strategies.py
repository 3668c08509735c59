"""Random clusters and documents that have something to do with each other, for Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from blixard.model.codec import to_object
from blixard.model.structs import (
    ClusterSnapshot,
    DesiredState,
    Disk,
    Hold,
    Network,
    Node,
    NodeState,
    Origin,
    Vm,
)
from blixard.plan.options import ImportOptions, MatchBy, Mode, OnConflict
from blixard.plan.rules import Rules
from blixard.plan.scope import Scope, parse_selector
from support import documents
from support.planning import HERE, THERE, cluster, content, disk_key, document, vm

NAMES = ("a", "b", "c", "a-2", "web-1", "web-2")
NETWORKS = ("lan", "wan", "br0")

labels = st.dictionaries(st.sampled_from(("env", "tier")), st.sampled_from(("prod", "dev")), max_size=2)
disk_names = st.lists(st.sampled_from(("root", "data", "log")), unique=True, max_size=3)


@st.composite
def disks(draw: st.DrawFn) -> tuple[Disk, ...]:
    sizes = st.sampled_from((4 << 20, 8 << 20))
    return tuple(documents.disk(name, size_bytes=draw(sizes)) for name in draw(disk_names))


@st.composite
def networks(draw: st.DrawFn) -> tuple[Network, ...]:
    names = draw(st.lists(st.sampled_from(("eth0", "eth1")), unique=True, max_size=2))
    some = st.none() | st.sampled_from(NETWORKS)
    macs = st.sampled_from((None, "52:54:00:00:00:01", "52:54:00:00:00:02"))
    return tuple(Network(name=name, network=draw(some), bridge=draw(some), mac=draw(macs)) for name in names)


@st.composite
def vms(draw: st.DrawFn, *, ours: bool) -> list[Vm]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    numbers = draw(st.lists(st.integers(1, 7), unique=True, min_size=len(names), max_size=len(names)))
    return [draw(one_vm(name, number, ours=ours)) for name, number in zip(names, numbers, strict=True)]


@st.composite
def one_vm(draw: st.DrawFn, name: str, number: int, *, ours: bool) -> Vm:
    origins = st.none() | st.builds(
        Origin, cluster_id=st.sampled_from((HERE, THERE)), vm_id=st.integers(1, 9).map(documents.uuid)
    )
    return vm(
        name,
        number,
        vcpus=draw(st.integers(1, 3)),
        node_id=draw(st.integers(1, 3)) if ours else draw(st.none() | st.integers(1, 3)),
        labels=draw(labels),
        metadata=draw(st.none() | st.dictionaries(st.sampled_from(("k", "password")), st.just("v"))),
        disks=draw(disks()),
        networks=draw(networks()),
        boot=draw(st.none() | st.just({"kernel": "/k"})),
        desired_state=draw(st.sampled_from(DesiredState)),
        hold=draw(st.sampled_from((None, Hold.IMPORTED))),
        origin=draw(origins) if ours else None,
    )


@st.composite
def nodes(draw: st.DrawFn) -> list[Node]:
    states = st.sampled_from(NodeState)
    rest = [documents.node(number, state=draw(states), labels=draw(labels)) for number in (2, 3) if draw(st.booleans())]
    return [documents.node(1, labels=draw(labels)), *rest]


@st.composite
def snapshots(draw: st.DrawFn) -> ClusterSnapshot:
    """A cluster, some of whose disks have content."""
    listed = draw(vms(ours=True))
    contents = {
        disk_key(each, disk.name): content(f"{each.id}-{disk.name}", size_bytes=disk.size_bytes)
        for each in listed
        for disk in each.disks
        if draw(st.booleans())
    }
    return cluster(*listed, nodes=draw(nodes()), contents=contents)


@st.composite
def incoming(draw: st.DrawFn, *, images: bool = True) -> Any:
    """A document of this or another cluster, some of whose keys are absent, some of whose disks are there."""
    listed = [to_object(each) for each in draw(vms(ours=False))]
    image = iter(range(100))
    for each in listed:
        for disk in each["disks"]:
            if images and draw(st.booleans()):
                disk["image"] = next(image)
        for key in ("labels", "metadata", "boot", "disks", "networks", "node_id", "hold"):
            if draw(st.integers(0, 4)) == 0:
                del each[key]
    scope = draw(
        st.sampled_from((None, None, {"only": ["vm=web-*"], "except": []}, {"only": [], "except": ["node=2"]}))
    )
    cluster_id = draw(st.sampled_from((HERE, THERE)))
    return document(*listed, nodes=draw(nodes()), cluster_id=cluster_id, scope=scope)


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    selectors = st.sampled_from(("vm=web-*", "vm=a", "node=1", "label=env=prod")).map(parse_selector)
    scope = Scope(
        only=tuple(draw(st.lists(selectors, max_size=2))), excluded=tuple(draw(st.lists(selectors, max_size=1)))
    )
    return Rules(
        scope=scope,
        prefix=draw(st.sampled_from(("", "", "p-"))),
        map_node=draw(st.dictionaries(st.integers(1, 3), st.just(1), max_size=2)),
        map_network=draw(st.dictionaries(st.sampled_from(NETWORKS), st.sampled_from(NETWORKS), max_size=2)),
    )


@st.composite
def options(draw: st.DrawFn, mode: Mode | None = None) -> ImportOptions:
    """Options under which no import ends in a conflict because of a merge."""
    return ImportOptions(
        mode=mode or draw(st.sampled_from(Mode)),
        rules=draw(rules()),
        on_conflict=draw(st.sampled_from((OnConflict.KEEP, OnConflict.RENAME, OnConflict.UPDATE))),
        match=draw(st.sampled_from(MatchBy)),
        replace_disks=draw(st.booleans()),
        new_identity=draw(st.booleans()),
        with_nodes=draw(st.booleans()),
        trust_host_paths=draw(st.booleans()),
        start=draw(st.sampled_from(((), ("*",), ("web-*",)))),
    )
