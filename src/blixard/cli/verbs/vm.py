"""`vm list|show|delete|attach-image|release|trust`: single VMs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.errors import ExitCode
from blixard.model.structs import DiskFormat

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(examples=["blixard vm list", "blixard vm list -c my-cluster --json"], exits=[ExitCode.NOT_FOUND])
def list_(session: Session) -> None:
    """List the VMs of a cluster."""
    from blixard.model.codec import to_object
    from blixard.ops.cluster.status import missing_content

    with session.open_cluster() as opened:
        snapshot = opened.snapshot()
    if session.out.json:
        session.out.document({"cluster": snapshot.name, "vms": [to_object(each) for each in snapshot.vms.values()]})
        return
    rows = []
    for vm in snapshot.vms.values():
        missing = missing_content(snapshot, vm)
        remarks = [f"held: {vm.hold.value}"] if vm.hold else []
        remarks += ["untrusted fields"] if vm.untrusted else []
        remarks += [f"no content: {', '.join(missing)}"] if missing else []
        size = human.size(sum(disk.size_bytes for disk in vm.disks))
        node = "-" if vm.node_id is None else str(vm.node_id)
        rows.append(
            (
                vm.name,
                vm.desired_state.value,
                str(vm.vcpus),
                str(vm.memory),
                str(len(vm.disks)),
                size,
                node,
                "; ".join(remarks),
            )
        )
    if not rows:
        session.out.note(f"no VMs in cluster `{snapshot.name}`")
        return
    headings = ("name", "desired", "vcpus", "mb", "disks", "size", "node", "remarks")
    session.out.line(human.table(headings, rows, right=(2, 3, 4, 5, 6)))


@command(examples=["blixard vm show web-1", "blixard vm show web-1 --json"], exits=[ExitCode.NOT_FOUND])
@click.argument("name")
def show(session: Session, name: str) -> None:
    """Show a VM."""
    from blixard.cli.screen.details import vm_rows
    from blixard.model.codec import to_object
    from blixard.site.open_cluster import find_vm

    with session.open_cluster() as opened:
        snapshot = opened.snapshot()
        vm = find_vm(snapshot, name, opened.directory)
    contents = [{"key": key, "content": each} for key, each in snapshot.contents.items() if key.vm_id == vm.id]
    session.out.answer({"vm": to_object(vm), "contents": contents}, human.pairs(vm_rows(vm, snapshot)))


@command(
    examples=["blixard vm delete web-1"],
    exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED, ExitCode.REFUSED],
)
@click.argument("name")
def delete(session: Session, name: str) -> None:
    """Delete a VM; `cluster undo` brings it back with its disks.

    Disks that stay in place (`--image-in-place`) are not touched.
    """
    from blixard.model.codec import to_object
    from blixard.ops.vm.edit import delete_vm
    from blixard.site.open_cluster import find_vm

    with session.open_cluster() as opened:
        if session.may_ask():
            find_vm(opened.snapshot(), name, opened.directory)
            session.consent(
                name, f"VM `{name}` of cluster `{opened.name}` will be deleted; `cluster undo` brings it back"
            )
        gone = delete_vm(opened, name)
    back = (
        f"`blixard cluster undo {gone.undo_id}` brings it back" if gone.undo_id else "undo keeps nothing (`undo.keep`)"
    )
    made = {"cluster": gone.cluster, "vm": to_object(gone.vm), "undo": gone.undo_id}
    session.out.done(made, f"VM `{name}` deleted: {back}")
    for path in gone.kept_in_place:
        session.out.note(f"`{path}` was in place and is still there")


@command(
    examples=["blixard vm attach-image web-1 root /images/web.qcow2"],
    exits=[ExitCode.NOT_FOUND, ExitCode.CONFLICT, ExitCode.LOCKED, ExitCode.MALFORMED],
)
@click.argument("vm")
@click.argument("disk")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "image_format",
    metavar="FORMAT",
    help=f"{' or '.join(f'`{each}`' for each in DiskFormat)}  [looked up in the file]",
)
@click.option(
    "--backing",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With `--format qcow2`: its backing files lie here",
)
@click.option(
    "--image-in-place", "in_place", is_flag=True, help="Leave it where it is; blixard never writes, moves or deletes it"
)
@click.option("--replace", is_flag=True, help="Replace content that is there; undo keeps it")
def attach_image(session: Session, vm: str, disk: str, *, image_format: str | None, **asked: Any) -> None:
    """Give a disk its content, as after an import of a file without images."""
    from blixard.cli.verbs.fields import disk_format
    from blixard.model.codec import to_object
    from blixard.ops.vm import attach as vm_attach

    options = vm_attach.AttachOptions(vm=vm, disk=disk, format=disk_format(image_format, "format"), **asked)
    with session.open_cluster() as opened, session.progress() as progress:
        done = vm_attach.attach_image(opened, options, progress)
    for warning in done.warnings:
        session.out.warn(warning)
    session.out.done(
        {"vm": done.vm, "disk": to_object(done.disk), "replaced": done.replaced},
        f"disk `{disk}` of VM `{vm}` has its content: {human.size(done.disk.size_bytes)}, {done.disk.format}",
    )


@command(examples=["blixard vm release web-1"], exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED])
@click.argument("name")
def release(session: Session, name: str) -> None:
    """Let a held VM start.

    A VM from another cluster is held, because its original may still run.
    """
    from blixard.ops.vm.edit import release_vm

    with session.open_cluster() as opened:
        before = release_vm(opened, name)
    held = f"held ({before.hold.value}), now it may start" if before.hold else "not held"
    session.out.done({"vm": name, "released": before.hold}, f"VM `{name}` was {held}")


@command(examples=["blixard vm show web-1", "blixard vm trust web-1"], exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED])
@click.argument("name")
def trust(session: Session, name: str) -> None:
    """Accept host paths, bridges and commands that came from another cluster's file.

    `vm show` lists them; until they are trusted they have no effect.
    """
    from blixard.ops.vm.edit import trust_vm

    with session.open_cluster() as opened:
        before = trust_vm(opened, name)
    trusted = ", ".join(f"`{each}`" for each in before.untrusted)
    text = f"VM `{name}`: {trusted} trusted now" if trusted else f"VM `{name}` had nothing untrusted"
    session.out.done({"vm": name, "trusted": before.untrusted}, text)
