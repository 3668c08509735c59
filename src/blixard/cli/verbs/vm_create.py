"""`vm create`: fields, disks, files and networks of the command line become a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from blixard.cli.options import command
from blixard.cli.verbs.vm_options import fields_to_create, options_to_create
from blixard.errors import ExitCode
from blixard.model.structs import DiskFormat

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
@click.option(
    "--disk",
    "disks",
    multiple=True,
    metavar="PATH[,...]",
    help=f"A disk, copied into the cluster; `name=`, `format={'|'.join(DiskFormat)}`, `backing=DIR`, `bus=`, "
    "`boot-index=`, `read-only=on`",
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
@options_to_create
def create(
    session: Session,
    *,
    name: str,
    disks: tuple[str, ...],
    files: tuple[str, ...],
    networks: tuple[str, ...],
    image_in_place: bool,
    **fields: Any,
) -> None:
    """Make a VM from disks and files.

    Disks are copied (sharing blocks where the file system can) and are durable
    before the VM exists. A comma in a path is written `,,`. An image with backing files
    needs `format=qcow2`; they lie beneath its own folder, or beneath `backing=DIR`.
    """
    from blixard.cli.screen import human
    from blixard.cli.verbs.fields import disk_specs, file_specs, network_specs
    from blixard.model.codec import to_object
    from blixard.ops.vm.create import create_vm
    from blixard.ops.vm.specs import VmSpec

    spec = VmSpec(
        name=name,
        fields=fields_to_create(fields),
        disks=disk_specs(disks),
        files=file_specs(files),
        networks=network_specs(networks),
        image_in_place=image_in_place,
    )
    with session.open_cluster() as opened, session.progress() as progress:
        made = create_vm(opened, spec, progress)
    for warning in made.warnings:
        session.out.warn(warning)
    count = human.counts(len(made.vm.disks), "disk")
    session.out.done(
        {"cluster": made.cluster, "vm": to_object(made.vm), "warnings": made.warnings},
        f"VM `{name}` made in cluster `{made.cluster}` with {count}, {human.size(made.copied_bytes)} copied in",
    )
