"""`vm set`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command, pair
from blixard.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=["blixard vm set web-1 --memory 4096", "blixard vm set web-1 --label tier=front --unlabel old"],
    exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED],
)
@click.argument("name")
@click.option("--vcpus", type=int, metavar="N", help="Virtual processors")
@click.option("--memory", metavar="MB", help="Memory: `2048`, `2048MB`, `2GB`")
@click.option("--config-path", metavar="PATH", help="Where its configuration is on the host")
@click.option("--ip", metavar="ADDRESS", help="Its address; `none` takes it away")
@click.option("--label", "labels", type=pair, multiple=True, metavar="K=V", help="Set a label; may be repeated")
@click.option("--unlabel", multiple=True, metavar="K", help="Take a label away; may be repeated")
@click.option("--metadata", type=pair, multiple=True, metavar="K=V", help="Set metadata; may be repeated")
@click.option("--unset-metadata", multiple=True, metavar="K", help="Take metadata away; may be repeated")
@click.option("--tenant", metavar="ID", help="Whose it is")
@click.option("--priority", type=int, metavar="0-1000", help="Higher runs first")
@click.option("--node", type=click.IntRange(min=0), metavar="N", help="Place it on this node")
@click.option("--desired", type=click.Choice(["running", "stopped"]), help="What is wanted of it")
def set_(
    session: Session,
    *,
    name: str,
    vcpus: int | None,
    memory: str | None,
    config_path: str | None,
    ip: str | None,
    labels: tuple[tuple[str, str], ...],
    unlabel: tuple[str, ...],
    metadata: tuple[tuple[str, str], ...],
    unset_metadata: tuple[str, ...],
    tenant: str | None,
    priority: int | None,
    node: int | None,
    desired: str | None,
) -> None:
    """Change fields of a VM; what is not given stays as it is."""
    from msgspec import UNSET

    from blixard.cli import wiring
    from blixard.cli.verbs.memory import megabytes
    from blixard.model.codec import to_object
    from blixard.model.structs import DesiredState
    from blixard.ops.vm.edit import VmChanges, set_vm

    changes = VmChanges(
        vcpus=UNSET if vcpus is None else vcpus,
        memory=UNSET if memory is None else megabytes(memory),
        config_path=UNSET if config_path is None else config_path,
        tenant_id=UNSET if tenant is None else tenant,
        ip_address=UNSET if ip is None else None if ip == "none" else ip,
        priority=UNSET if priority is None else priority,
        desired_state=UNSET if desired is None else DesiredState(desired),
        node_id=UNSET if node is None else node,
        metadata={**dict.fromkeys(unset_metadata), **dict(metadata)},
        labels={**dict.fromkeys(unlabel), **dict(labels)},
    )
    if changes == VmChanges():
        raise UsageError("nothing to change was given", hint="`blixard vm set --help` shows the fields")
    with wiring.open_cluster(session) as opened:
        vm = set_vm(opened, name, changes)
    if session.out.json:
        session.out.document(to_object(vm))
    session.out.note(f"VM `{name}` changed")
