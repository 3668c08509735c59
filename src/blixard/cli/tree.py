"""The command tree: every command's name, place and summary; the modules behind it are imported when called."""

from __future__ import annotations

from collections.abc import Mapping

import click

from blixard.cli.commands import Entry, LazyGroup
from blixard.version import __version__

CLUSTER = {
    "init": Entry("verbs.cluster:init", "Make a new, empty cluster"),
    "list": Entry("verbs.cluster:list_", "List the clusters of this node"),
    "use": Entry("verbs.cluster:use", "Make a cluster the current one"),
    "status": Entry("verbs.status:status", "Show what a cluster is made of and when it was last exported"),
    "export": Entry("verbs.export:export", "Write a cluster into one file"),
    "import": Entry("verbs.import_:import_", "Bring a cluster back from a file"),
    "share": Entry("verbs.share:share", "Serve an export file to those who have its ticket"),
    "fetch": Entry("verbs.fetch:fetch", "Fetch an export by ticket into a file"),
    "undo": Entry("verbs.undo:undo", "Take back an import or a deletion"),
    "inspect": Entry("verbs.inspect:inspect", "Show what is inside an export file"),
    "verify": Entry("verbs.verify:verify", "Check an export file: every digest, every record"),
    "diff": Entry("verbs.diff:diff", "Show what differs between files and clusters"),
    "extract": Entry("verbs.extract:extract", "Take one disk out of an export file"),
    "fmt": Entry("verbs.fmt:fmt", "Put a hand-edited export file in order and seal it"),
    "rename": Entry("verbs.cluster:rename", "Give a cluster another name"),
    "delete": Entry("verbs.cluster:delete", "Delete a cluster with its disks"),
    "history": Entry("verbs.history:history", "Show what was done to a cluster, by whom, with what result"),
    "gc": Entry("verbs.gc:gc", "Show and free what nothing names any more"),
}

NODE = {
    "add": Entry("verbs.node:add", "Add a node to the cluster's state"),
    "list": Entry("verbs.node:list_", "List the nodes of a cluster"),
    "show": Entry("verbs.node:show", "Show a node"),
    "remove": Entry("verbs.node:remove", "Remove a node from the cluster's state"),
}

VM = {
    "create": Entry("verbs.vm_create:create", "Make a VM from disks and files"),
    "list": Entry("verbs.vm:list_", "List the VMs of a cluster"),
    "show": Entry("verbs.vm:show", "Show a VM"),
    "set": Entry("verbs.vm_set:set_", "Change fields of a VM"),
    "delete": Entry("verbs.vm:delete", "Delete a VM; `cluster undo` brings it back"),
    "attach-image": Entry("verbs.vm:attach_image", "Give a disk its content"),
    "release": Entry("verbs.vm:release", "Let a held VM start"),
    "trust": Entry("verbs.vm:trust", "Accept host paths and commands that came from another cluster"),
}

TELEMETRY = {"show": Entry("verbs.telemetry:show", "Show logs and metrics, this node's and imported ones")}
TICKET = {"show": Entry("verbs.peer:show", "Show what is in a ticket, without its secret")}
PEER = {"id": Entry("verbs.peer:peer_id", "Print this node's id among peers")}
CONFIG = {"show": Entry("verbs.settings:show", "Print every setting, its value and its origin")}

ROOT = {
    "cluster": Entry("tree:cluster", "Export, import and look after clusters"),
    "node": Entry("tree:node", "The hosts of a cluster"),
    "vm": Entry("tree:vm", "The virtual machines of a cluster"),
    "ticket": Entry("tree:ticket", "Tickets of shares"),
    "peer": Entry("tree:peer", "This node among peers"),
    "telemetry": Entry("tree:telemetry", "Logs and metrics of this node"),
    "doctor": Entry("verbs.doctor:doctor", "Check that this machine can do the work"),
    "config": Entry("tree:config", "Settings and where they come from"),
    "demo": Entry("verbs.demo:demo", "Run the main job on real disks and show every step"),
    "completion": Entry("verbs.completion:completion", "Print a shell's completion script"),
}


def _show_version(context: click.Context, _option: click.Parameter, given: bool) -> None:  # noqa: FBT001 - click's signature
    if given:
        click.echo(f"blixard {__version__}")
        context.exit()


def _group(name: str, entries: Mapping[str, Entry], example: str) -> LazyGroup:
    return LazyGroup(name, entries, examples=[example], help=f"{ROOT[name].summary}.")


cluster = _group("cluster", CLUSTER, "blixard cluster status")
node = _group("node", NODE, "blixard node list")
vm = _group("vm", VM, "blixard vm list")
telemetry = _group("telemetry", TELEMETRY, "blixard telemetry show --since 24h")
ticket = _group("ticket", TICKET, "blixard ticket show -i ticket.txt")
peer = _group("peer", PEER, "blixard peer id")
config = _group("config", CONFIG, "blixard config show")
root = LazyGroup(
    "blixard",
    ROOT,
    examples=[
        "blixard cluster export -o cluster-backup.json.gz -c my-cluster",
        "blixard cluster import -i cluster-backup.json.gz",
    ],
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Show the version.",
            callback=_show_version,
        )
    ],
    help="Export a whole VM cluster to one file and bring it back anywhere.",
)
