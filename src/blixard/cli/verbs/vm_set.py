"""`vm set`: fields of a VM that are given change, all others stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from blixard.cli.options import command
from blixard.cli.verbs.vm_options import fields_to_change, options_to_change
from blixard.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=["blixard vm set web-1 --memory 4096", "blixard vm set web-1 --label tier=front --unlabel old"],
    exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED],
)
@click.argument("name")
@options_to_change
def set_(session: Session, *, name: str, **fields: Any) -> None:
    """Change fields of a VM; what is not given stays as it is."""
    from blixard.model.codec import to_object
    from blixard.ops.vm.edit import set_vm

    changes = fields_to_change(fields)
    if not changes:
        raise UsageError("nothing to change was given", hint="`blixard vm set --help` shows the fields")
    with session.open_cluster() as opened:
        vm = set_vm(opened, name, changes)
    session.out.done(to_object(vm), f"VM `{name}` changed")
