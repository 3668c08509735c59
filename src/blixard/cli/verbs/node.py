"""`node add|list|show|remove`: the hosts that a cluster's state knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from blixard.cli.options import command, pair
from blixard.cli.screen import human
from blixard.errors import ExitCode
from blixard.model.structs import DEFAULT_BACKEND

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=["blixard node add --bind-addr 10.0.0.2:7001 --data-dir-there /var/lib/blixard --name host-2"],
    exits=[ExitCode.NOT_FOUND, ExitCode.CONFLICT, ExitCode.LOCKED],
)
@click.option("--id", type=click.IntRange(min=0), metavar="N", help="Its id  [the next free one]")
@click.option("--bind-addr", required=True, metavar="HOST:PORT", help="Where it listens")
@click.option(
    "--data-dir-there", default="/var/lib/blixard", show_default=True, metavar="DIR", help="Its data directory"
)
@click.option("--name", metavar="NAME", help="What people call it")
@click.option(
    "--backend", "vm_backend", default=DEFAULT_BACKEND, show_default=True, metavar="NAME", help="What runs its VMs"
)
@click.option("--label", "labels", type=pair, multiple=True, metavar="K=V", help="A label; may be repeated")
@click.option("--datacenter", metavar="NAME", help="Where it stands")
@click.option("--zone", metavar="NAME", help="Where it stands")
@click.option("--rack", metavar="NAME", help="Where it stands")
def add(
    session: Session,
    *,
    data_dir_there: str,
    labels: tuple[tuple[str, str], ...],
    **fields: Any,
) -> None:
    """Add a node to the cluster's state."""
    from blixard.model.codec import to_object
    from blixard.ops.cluster.nodes import NodeSpec, add_node

    spec = NodeSpec(data_dir=data_dir_there, labels=dict(labels), **fields)
    with session.open_cluster() as opened:
        node = add_node(opened, spec)
    session.out.done(to_object(node), f"node {node.id} added")


@command(examples=["blixard node list", "blixard node list --json"], exits=[ExitCode.NOT_FOUND])
def list_(session: Session) -> None:
    """List the nodes of a cluster."""
    from blixard.cli.screen.details import node_state
    from blixard.model.codec import to_object

    with session.open_cluster() as opened:
        snapshot = opened.snapshot()
    if session.out.json:
        session.out.document(
            {"self_node": snapshot.self_node, "nodes": [to_object(each) for each in snapshot.nodes.values()]}
        )
        return
    placed = [vm.node_id for vm in snapshot.vms.values()]
    rows = [
        (
            str(each.id),
            each.name or "-",
            node_state(each, snapshot),
            each.bind_addr,
            str(placed.count(each.id)),
            ",".join(f"{key}={value}" for key, value in sorted(each.labels.items())),
        )
        for each in snapshot.nodes.values()
    ]
    session.out.line(human.table(("id", "name", "state", "address", "vms", "labels"), rows, right=(0, 4)))


@command(examples=["blixard node show 1", "blixard node show host-2 --json"], exits=[ExitCode.NOT_FOUND])
@click.argument("node")
def show(session: Session, node: str) -> None:
    """Show a node, by id or name."""
    from blixard.cli.screen.details import node_rows
    from blixard.model.codec import to_object
    from blixard.ops.cluster.nodes import find_node

    with session.open_cluster() as opened:
        snapshot = opened.snapshot()
    found = find_node(snapshot, node)
    session.out.answer(to_object(found), human.pairs(node_rows(found, snapshot)))


@command(
    examples=["blixard node remove host-2"],
    exits=[ExitCode.NOT_FOUND, ExitCode.CONFLICT, ExitCode.REFUSED, ExitCode.LOCKED],
)
@click.argument("node")
def remove(session: Session, node: str) -> None:
    """Remove a node, by id or name, on which no VM is placed."""
    from blixard.ops.cluster.nodes import remove_node

    with session.open_cluster() as opened:
        gone = remove_node(opened, node)
    session.out.done({"removed": gone.id}, f"node {gone.id} removed from the cluster's state")
