"""`cluster undo`: take back, list, pin, drop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.keeping.undo import UndoReport
    from blixard.site.open_cluster import OpenCluster

_ACTIONS = ("list", "pin", "unpin", "drop")


@command(
    examples=[
        "blixard cluster undo -c my-cluster",
        "blixard cluster undo 3 --dry-run",
        "blixard cluster undo list",
        "blixard cluster undo pin 3",
        "blixard cluster undo drop 2",
    ],
    exits=[ExitCode.REFUSED, ExitCode.NOT_FOUND, ExitCode.LOCKED, ExitCode.CONFLICT],
)
@click.argument("action", required=False, metavar="[ID | list | pin ID | unpin ID | drop ID]")
@click.argument("entry", required=False, type=click.IntRange(min=1), metavar="")
@click.option("--dry-run", is_flag=True, help="Show what would go back, touch nothing")
@click.option("--force", is_flag=True, help="Roll over what was changed since")
def undo(session: Session, action: str | None, entry: int | None, *, dry_run: bool, force: bool) -> None:
    """Take back the newest import or deletion, or the one with this ID.

    What was not changed since goes back; what was is a conflict (exit 22) unless
    `--force`. An undo can be undone. `list` shows what is kept, `pin` keeps an entry
    whatever its age, `drop` gives it up and frees its disks.
    """
    number = _number(action)
    if number is None and action not in (None, *_ACTIONS):
        raise UsageError(f"`{action}` is no undo entry", hint="an id, `list`, `pin ID`, `unpin ID` or `drop ID`")
    with session.open_cluster() as opened:
        if action == "list":
            _list(session, opened)
        elif action in _ACTIONS:
            _keep_or_drop(session, opened, str(action), entry)
        else:
            _undo(session, opened, number, dry_run=dry_run, force=force)


def _number(action: str | None) -> int | None:
    return int(action) if action is not None and action.isdecimal() else None


def _undo(session: Session, opened: OpenCluster, number: int | None, *, dry_run: bool, force: bool) -> None:
    from blixard.cli.screen.plan_text import plan_lines, summary
    from blixard.ops.keeping.undo import undo as take_back

    if not dry_run and session.may_ask():
        planned = take_back(opened, number, dry_run=True, force=force)
        for line in plan_lines(planned.plan):
            session.out.note(line)
        session.consent(opened.name, f"undo {planned.entry} takes back: {planned.title}")
    report = take_back(opened, number, dry_run=dry_run, force=force)
    if session.out.json:
        session.out.document(report)
        return
    _warn(session, report)
    if dry_run:
        for line in plan_lines(report.plan):
            session.out.line(line)
        return
    session.out.note(f"undone: {report.title}; {summary(report.plan)}; revision {report.revision}")
    if report.undo is not None:
        session.out.note(f"`blixard cluster undo {report.undo} -c {report.cluster}` takes that back")


def _warn(session: Session, report: UndoReport) -> None:
    if report.plan.parks:
        session.out.warn(
            "the import made this cluster: its VMs are held, nothing is taken away; `cluster delete` would"
        )
    if report.plan.not_rolled_back:
        shared = ", ".join(f"`{each}`" for each in report.plan.not_rolled_back)
        session.out.warn(f"not rolled back, because both states share the content: {shared}")


def _list(session: Session, opened: OpenCluster) -> None:
    from blixard.ops.keeping.undo import entries

    listed = entries(opened)
    if session.out.json:
        session.out.document({"cluster": opened.name, "entries": listed})
        return
    if not listed:
        session.out.note(f"cluster `{opened.name}` has nothing to undo")
        return
    now = opened.clock.now()
    rows = [
        (
            str(each.id),
            human.moment(each.made_at, now),
            human.size(each.held_bytes),
            "pinned" if each.pinned else "",
            each.title,
        )
        for each in listed
    ]
    session.out.line(human.table(("id", "made", "holds", "", "what"), rows, right=(0, 2)))


def _keep_or_drop(session: Session, opened: OpenCluster, action: str, entry: int | None) -> None:
    from blixard.ops.keeping.undo import drop, pin

    if entry is None:
        raise UsageError(f"`undo {action}` needs the id of an entry", hint="`blixard cluster undo list` shows them")
    if action == "drop":
        freed = drop(opened, entry)
        result = {"dropped": entry, "freed_bytes": freed}
        text = f"undo entry {entry} dropped, {human.size(freed)} freed"
    else:
        pin(opened, entry, pinned=action == "pin")
        result = {"entry": entry, "pinned": action == "pin"}
        text = f"undo entry {entry} {'stays until it is unpinned' if action == 'pin' else 'is not pinned any more'}"
    session.out.done(result, text)
