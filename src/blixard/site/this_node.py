"""What this machine is as a node of a cluster: its name, its capacity, its data directory."""

from __future__ import annotations

import os
from contextlib import suppress

from blixard.errors import InvalidField
from blixard.home import Home
from blixard.model.codec import check_name
from blixard.model.structs import DEFAULT_ADDRESS, Capacity, Node


def this_node(home: Home, node_id: int) -> Node:
    """This machine as the node `node_id` of a cluster in `home`."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    return Node(
        id=node_id,
        data_dir=str(home.root),
        bind_addr=DEFAULT_ADDRESS,
        name=_host_name(),
        capacity=Capacity(vcpus=os.cpu_count() or 1, memory=memory),
    )


def _host_name() -> str | None:
    """What this machine is called, when that is a name."""
    with suppress(InvalidField):
        return check_name(os.uname().nodename.partition(".")[0], "node.name")
    return None
