"""`vm create`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command, pair
from blixard.errors import ExitCode

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=[
        "blixard vm create web-1 --vcpus 2 --memory 2048 --disk /images/web.qcow2",
        "blixard vm create db --disk root.img,format=raw --disk data.img,name=data \\",
        "    --network lan,bridge=br0,mac=52:54:00:00:00:01 --file config=db.nix",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.CONFLICT, ExitCode.LOCKED, ExitCode.MALFORMED],
)
@click.argument("name")
@click.option("--vcpus", type=int, default=1, show_default=True, metavar="N", help="Virtual processors")
@click.option("--memory", default="1024", show_default=True, metavar="MB", help="Memory: `2048`, `2048MB`, `2GB`")
@click.option(
    "--disk",
    "disks",
    multiple=True,
    metavar="PATH[,...]",
    help="A disk, copied into the cluster; `name=`, `format=raw|qcow2`, `backing=DIR`, `bus=`, `boot-index=`, "
    "`read-only=on`",
)
@click.option(
    "--image-in-place", is_flag=True, help="Leave disks where they are; blixard never writes, moves or deletes them"
)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="ROLE=PATH",
    help="A file: config, kernel, initrd, nvram or seed; `,name=`",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="NAME[,...]",
    help="An interface; `bridge=`, `network=`, `mac=`, `ip=`",
)
@click.option("--config-path", default="", metavar="PATH", help="Where its configuration is on the host, for reference")
@click.option("--ip", metavar="ADDRESS", help="Its address")
@click.option("--label", "labels", type=pair, multiple=True, metavar="K=V", help="A label; may be repeated")
@click.option("--metadata", type=pair, multiple=True, metavar="K=V", help="Metadata; may be repeated")
@click.option("--tenant", default="default", show_default=True, metavar="ID", help="Whose it is")
@click.option("--priority", type=int, default=500, show_default=True, metavar="0-1000", help="Higher runs first")
@click.option("--node", "node", type=click.IntRange(min=0), metavar="N", help="Place it on this node  [this one]")
@click.option(
    "--desired",
    type=click.Choice(["running", "stopped"]),
    default="stopped",
    show_default=True,
    help="What is wanted of it",
)
def create(
    session: Session,
    *,
    name: str,
    vcpus: int,
    memory: str,
    disks: tuple[str, ...],
    files: tuple[str, ...],
    networks: tuple[str, ...],
    config_path: str,
    ip: str | None,
    labels: tuple[tuple[str, str], ...],
    metadata: tuple[tuple[str, str], ...],
    tenant: str,
    priority: int,
    node: int | None,
    desired: str,
    image_in_place: bool,
) -> None:
    """Make a VM from disks and files.

    Disks are copied (sharing blocks where the file system can) and are durable
    before the VM exists. A comma in a path is written `,,`. An image with backing files
    needs `format=qcow2`; they lie beneath its own folder, or beneath `backing=DIR`.
    """
    from blixard.cli import wiring
    from blixard.cli.screen import human
    from blixard.cli.verbs.fields import disk_specs, file_specs, network_specs
    from blixard.cli.verbs.memory import megabytes
    from blixard.model.codec import to_object
    from blixard.model.structs import DesiredState
    from blixard.ops.vm.create import create_vm
    from blixard.ops.vm.specs import VmSpec

    spec = VmSpec(
        name=name,
        vcpus=vcpus,
        memory=megabytes(memory),
        config_path=config_path,
        tenant=tenant,
        ip=ip,
        priority=priority,
        metadata=dict(metadata),
        labels=dict(labels),
        desired=DesiredState(desired),
        node_id=node,
        disks=disk_specs(disks),
        files=file_specs(files),
        networks=network_specs(networks),
        image_in_place=image_in_place,
    )
    with wiring.open_cluster(session) as opened, wiring.progress(session) as progress:
        made = create_vm(opened, spec, progress)
    for warning in made.warnings:
        session.out.warn(warning)
    if session.out.json:
        session.out.document({"cluster": made.cluster, "vm": to_object(made.vm), "warnings": made.warnings})
    count = human.counts(len(made.vm.disks), "disk")
    session.out.note(
        f"VM `{name}` made in cluster `{made.cluster}` with {count}, {human.size(made.copied_bytes)} copied in"
    )
