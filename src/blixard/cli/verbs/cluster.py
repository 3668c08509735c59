"""`cluster init|list|use|rename|delete`: clusters as wholes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command, one_of
from blixard.cli.screen import human
from blixard.errors import ExitCode, RefusedError, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=["blixard cluster init my-cluster"],
    exits=[ExitCode.CONFLICT, ExitCode.LOCKED],
)
@click.argument("name", required=False)
def init(session: Session, name: str | None) -> None:
    """Make a new, empty cluster whose only node is this machine.

    The first cluster becomes the current one.
    """
    from blixard.ops.cluster.clusters import init_cluster

    wanted = _argument(session, name) or session.named_cluster
    if wanted is None:
        raise _unnamed("`blixard cluster init NAME`")
    site = session.site
    node_id = 1 if session.options.node_id is None else session.options.node_id
    made = init_cluster(site.home, wanted, node_id=node_id, reopen=site.open)
    session.out.done(
        made, f"cluster `{made.name}` ({made.id}) made in `{made.data_dir}`, this machine is node {made.node_id}"
    )
    if not made.current:
        session.out.note(
            f"`{site.home.current()}` stays the current cluster: `blixard cluster use {made.name}` changes that"
        )


@command(examples=["blixard cluster list", "blixard cluster list --json"])
def list_(session: Session) -> None:
    """List the clusters of this node; a star marks the current one."""
    from blixard.ops.cluster.clusters import list_clusters

    home = session.site.home
    listed = list_clusters(home)
    if session.out.json:
        session.out.document({"data_dir": home.root, "clusters": listed})
        return
    if not listed:
        session.out.note(f"no clusters in `{home.root}`")
        return
    rows = [
        (
            ("* " if each.current else "  ") + each.name,
            each.problem or each.id or "",
            "-" if each.nodes is None else str(each.nodes),
            "-" if each.vms is None else str(each.vms),
            "-" if each.revision is None else str(each.revision),
        )
        for each in listed
    ]
    session.out.line(human.table(("  name", "id", "nodes", "vms", "revision"), rows, right=(2, 3, 4)))


@command(examples=["blixard cluster use my-cluster"], exits=[ExitCode.NOT_FOUND])
@click.argument("name", required=False)
def use(session: Session, name: str | None) -> None:
    """Make a cluster the current one, for commands that name none."""
    from blixard.ops.cluster.clusters import use_cluster

    wanted = _argument(session, name) or session.options.cluster
    if wanted is None:
        raise _unnamed("`blixard cluster use NAME`")
    home = session.site.home
    use_cluster(home, wanted)
    session.out.done({"current": wanted, "data_dir": home.root}, f"`{wanted}` is the current cluster in `{home.root}`")


@command(
    examples=["blixard cluster rename new-name -c old-name"],
    exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED, ExitCode.CONFLICT],
)
@click.argument("new_name")
def rename(session: Session, new_name: str) -> None:
    """Give a cluster another name; its id stays."""
    from blixard.ops.cluster.clusters import rename_cluster

    site = session.site
    old = site.cluster_name(session.named_cluster)
    rename_cluster(site.home, old, new_name, lock_wait=session.lock_wait, reopen=site.open)
    session.out.done({"old": old, "new": new_name}, f"cluster `{old}` is called `{new_name}` now")


@command(
    examples=["blixard cluster delete my-cluster", "blixard cluster delete my-cluster -y"],
    exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED, ExitCode.REFUSED],
)
@click.argument("name", required=False)
def delete(session: Session, name: str | None) -> None:
    """Delete a cluster with its disks, its history and what undo kept.

    This cannot be undone, so it asks on a terminal, and needs `-y` without one.
    """
    from blixard.ops.cluster.clusters import delete_cluster

    wanted = _argument(session, name) or session.named_cluster
    if wanted is None:
        raise _unnamed("`blixard cluster delete NAME`: the current one is not assumed")
    home = session.site.home
    home.cluster(wanted)
    if not session.options.yes and not session.may_ask():
        raise RefusedError(
            f"cluster `{wanted}` would be gone for good, with its disks and history",
            hint="`-y` deletes it; `blixard cluster export --include-images` first keeps a copy",
        )
    session.consent(wanted, f"cluster `{wanted}` in `{home.root}` will be gone for good, with its disks and history")
    delete_cluster(home, wanted, session.lock_wait)
    session.out.done({"deleted": wanted, "data_dir": home.root}, f"cluster `{wanted}` deleted from `{home.root}`")


def _argument(session: Session, name: str | None) -> str | None:
    """The name that stands as an argument; `-c` may be given beside it, and then says the same."""
    one_of("names", name, "-c", session.options.cluster)
    return name


def _unnamed(hint: str) -> UsageError:
    return UsageError("no name for the cluster", hint=hint)
