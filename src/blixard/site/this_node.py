"""What this machine is as a node of a cluster: its name, its capacity, its data directory."""

from __future__ import annotations

import os

from blixard.home import Home
from blixard.model.codec import is_name
from blixard.model.structs import DEFAULT_ADDRESS, Capacity, Node


def this_node(home: Home, node_id: int) -> Node:
    """This machine as the node `node_id` of a cluster in `home`."""
    called = os.uname().nodename.partition(".")[0]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    return Node(
        id=node_id,
        data_dir=str(home.root),
        bind_addr=DEFAULT_ADDRESS,
        name=called if is_name(called) else None,
        capacity=Capacity(vcpus=os.cpu_count() or 1, memory=memory),
    )
