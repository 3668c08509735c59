"""`cluster diff`: what differs between files, clusters, and a cluster then and now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.cli.verbs.file_source import READING
from blixard.errors import ExitCode
from blixard.plan.values import Action

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.cluster.diff import DiffReport, Side
    from blixard.site.open_cluster import OpenCluster

_DIGEST_CHARS = 16


@command(
    examples=[
        "blixard cluster diff monday.json.gz tuesday.json.gz",
        "blixard cluster diff backup.json.gz cluster:my-cluster --exit-code",
        "blixard cluster diff undo:3 cluster:",
    ],
    exits=[*READING, ExitCode.CHANGES_PENDING, ExitCode.NOT_FOUND],
)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--all", "volatile", is_flag=True, help="Also times, revisions and raft facts")
@click.option("--exit-code", is_flag=True, help="5 when something differs")
def diff(session: Session, before: str, after: str, *, volatile: bool, exit_code: bool) -> ExitCode | None:
    """Show what differs, object by object and field by field.

    A and B are each a file, `-`, `cluster:NAME` (`cluster:` is the current one) or
    `undo:ID` (`undo:NAME/ID`): the cluster as it was before that change. Disk content
    is compared by digest where both sides know it.
    """
    from blixard.ops.cluster.diff import DiffOptions, pending
    from blixard.ops.cluster.diff import diff as compare

    def open_cluster(name: str | None) -> AbstractContextManager[OpenCluster]:
        return session.site.open_named(name or session.named_cluster)

    options = DiffOptions(before=before, after=after, volatile=volatile, limits=session.config.limits)
    report = compare(options, open_cluster)
    if session.out.json:
        session.out.document(report)
    elif not session.out.quiet:
        session.out.line("\n".join(_page(report)))
    return pending(report) if exit_code else None


def _page(report: DiffReport) -> Iterator[str]:
    from blixard.cli.screen.plan_text import change_lines, counted, field_text

    if not report.differs:
        yield "no difference"
        return
    yield human.visible(f"--- {_title(report.before)}")
    yield human.visible(f"+++ {_title(report.after)}")
    found = report.diff
    yield from (f"~ {field_text(field)}" for field in found.head)
    for node in found.nodes:
        yield from change_lines("node", node)
    for vm in found.vms:
        yield from change_lines("VM", vm)
    for content in found.contents:
        one, other = (str(digest)[:_DIGEST_CHARS] for digest in (content.before, content.after))
        yield human.visible(f"~ content {content.pointer[1:]}: {one} -> {other}")
    words = {Action.CREATE: "only in B", Action.DELETE: "only in A", Action.UPDATE: "changed"}
    contents = f"; {human.counts(len(found.contents), 'disk')} of other content" if found.contents else ""
    yield f"VMs: {counted(found.vms, words) or 'none differ'}{contents}"


def _title(side: Side) -> str:
    known = f", document {side.document[:_DIGEST_CHARS]}" if side.document else ""
    known = f", revision {side.revision}" if side.revision is not None else known
    return f"{side.given} (cluster {side.cluster}{known})"
