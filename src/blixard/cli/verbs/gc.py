"""`cluster gc`: what was freed, or with `--dry-run` what would be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import structs

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.errors import ExitCode

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(
    examples=["blixard cluster gc --dry-run", "blixard cluster gc --staged"],
    exits=[ExitCode.NOT_FOUND, ExitCode.LOCKED],
)
@click.option("--dry-run", is_flag=True, help="Show what would be freed, touch nothing")
@click.option("--staged", is_flag=True, help="Also what imports have staged in the last 7 days")
def gc(session: Session, *, dry_run: bool, staged: bool) -> None:
    """Show and free what nothing names any more.

    Files that no VM, undo entry or import names; what imports have staged and not
    used for 7 days; undo entries past the settings `undo.*`. Never what a VM uses.
    """
    from blixard.ops.keeping.gc import GcOptions, collect
    from blixard.ops.keeping.unfinished import STAGED_FOR

    with session.open_cluster() as opened:
        report = collect(opened, GcOptions(dry_run=dry_run, staged=staged))
    if session.out.json:
        session.out.document({**structs.asdict(report), "size_bytes": report.size_bytes})
        return
    if report.freed:
        rows = [(each.kind, each.name, human.size(each.size_bytes), each.why) for each in report.freed]
        session.out.line(human.table(("kind", "name", "size", "why"), rows, right=(2,)))
    word = "would be freed" if dry_run else "freed"
    session.out.note(f"{human.size(report.size_bytes)} {word}")
    if report.kept:
        kept = human.size(sum(each.size_bytes for each in report.kept))
        session.out.note(f"{kept} staged by imports is kept for {STAGED_FOR.days} days: `--staged` frees it too")
