"""`completion bash|zsh|fish`: the script that makes a shell complete our commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=['eval "$(blixard completion bash)"', "blixard completion fish > ~/.config/fish/completions/blixard.fish"]
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(session: Session, shell: str) -> None:
    """Print a shell's completion script."""
    from click.shell_completion import get_completion_class

    from blixard.cli.tree import root

    script = get_completion_class(shell)
    if script is None:
        raise LookupError(shell)
    session.out.line(script(root, {}, "blixard", "_BLIXARD_COMPLETE").source())
