"""`cluster status`: a page for people, a document for monitoring, an exit code for an alarm."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from blixard.cli.options import command, duration, goes_with
from blixard.cli.screen import human
from blixard.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from blixard.cli.session import Session
    from blixard.ops.cluster.status import ExportStatus, Freshness, Status

_PARTS = ("images", "telemetry")


@command(
    examples=["blixard cluster status", "blixard cluster status -c my-cluster --max-age 26h --require images"],
    exits=[ExitCode.NOT_FOUND, ExitCode.STALE],
)
@click.option(
    "--max-age", type=duration, metavar="DURATION", help="Exit 6 when the last whole export is older, or never was"
)
@click.option(
    "--require", multiple=True, metavar="PARTS", help="What it must hold: `images`, `telemetry`, or both with a comma"
)
def status(session: Session, max_age: timedelta | None, require: tuple[str, ...]) -> ExitCode | None:
    """Show what a cluster is made of and when it was last exported.

    A whole export is one of everything, complete and with nothing masked.
    """
    from blixard.ops.cluster.status import cluster_status, freshness

    required = _required(require)
    if required and max_age is None:
        raise goes_with("--require", "--max-age", "`--max-age 26h --require images`")
    with session.open_cluster() as opened:
        seen = cluster_status(opened)
        fresh = None if max_age is None else freshness(opened, max_age, required)
    if session.out.json:
        session.out.document({"status": seen, "freshness": fresh})
    elif not session.out.quiet:
        session.out.line(human.pairs(_rows(seen)))
    if fresh is None or not fresh.stale:
        return None
    session.out.warn(_stale(fresh, seen))
    return ExitCode.STALE


def _required(given: tuple[str, ...]) -> tuple[str, ...]:
    parts = tuple(part.strip() for each in given for part in each.split(",") if part.strip())
    for part in parts:
        if part not in _PARTS:
            raise UsageError(f"`--require {part}` is not known", hint="it can be `images` and `telemetry`")
    return parts


def _stale(fresh: Freshness, seen: Status) -> str:
    what = f"whole export with {' and '.join(fresh.required)}" if fresh.required else "whole export"
    if fresh.newest is None:
        return f"there never was a {what}"
    age = human.duration(seen.now - fresh.newest.at)
    return f"the last {what} is {age} old, more than {human.duration(fresh.max_age)}"


def _rows(seen: Status) -> list[tuple[str, str]]:
    rows = [
        ("cluster", f"{seen.name} ({seen.id})"),
        ("data dir", seen.data_dir),
        ("store", f"{seen.store}, revision {seen.revision}"),
        ("leader", f"node {seen.leader_id}, term {seen.term}" if seen.leader_id is not None else "none"),
        *_node_rows(seen),
        ("vms", _vms(seen)),
        ("disks", _disks(seen)),
        ("space", _space(seen)),
        ("last export", _export(seen.last_export, seen)),
        ("last import", _import(seen)),
        ("undo", _undo(seen)),
    ]
    if seen.last_failure is not None:
        failure = seen.last_failure
        rows.append(
            (
                "failed",
                f"{failure.verb} at {human.moment(failure.time, seen.now)}: {failure.error or failure.exit_code}",
            )
        )
    if seen.unfinished_imports:
        rows.append(
            ("unfinished", f"{human.counts(seen.unfinished_imports, 'import')}: import again to go on, or `cluster gc`")
        )
    return rows


def _node_rows(seen: Status) -> list[tuple[str, str]]:
    shown = [
        f"{each.id}{f' {each.name}' if each.name else ''} {each.state}{' (here)' if each.here else ''}"
        for each in seen.nodes
    ]
    more = f", and {len(shown) - 8} more" if len(shown) > 8 else ""
    return [("nodes", f"{len(shown)}: {', '.join(shown[:8])}{more}")]


def _vms(seen: Status) -> str:
    vms = seen.vms
    parts = [f"{vms.running} to run", f"{vms.stopped} stopped"]
    parts += [f"{count} held ({why})" for why, count in vms.held.items()]
    if vms.untrusted:
        parts.append(f"{vms.untrusted} with untrusted fields")
    return f"{vms.total}: {', '.join(parts)}" if vms.total else "0"


def _disks(seen: Status) -> str:
    disks = seen.disks
    parts = [human.counts(disks.count, "disk"), f"{human.size(disks.virtual_bytes)} as guests see them"]
    if disks.in_place:
        parts.append(f"{disks.in_place} in place")
    if seen.vms.without_content_count:
        parts.append(f"{seen.vms.without_content_count} without content ({', '.join(seen.vms.without_content[:3])})")
    return ", ".join(parts)


def _space(seen: Status) -> str:
    disks = seen.disks
    return (
        f"{human.size(disks.live_bytes)} live, {human.size(disks.undo_bytes)} undo, "
        f"{human.size(disks.staged_bytes)} staged, {human.size(disks.free_bytes)} free"
    )


def _export(last: ExportStatus | None, seen: Status) -> str:
    if last is None:
        return "never"
    held = [part for part, there in (("images", last.images), ("telemetry", last.telemetry)) if there]
    parts = [human.moment(last.at, seen.now), f"with {' and '.join(held)}" if held else "state only"]
    if last.place:
        parts.append(f"to {last.place}")
    if last.document:
        parts.append(f"document {last.document[:16]}")
    return ", ".join(parts)


def _import(seen: Status) -> str:
    last = seen.last_import
    if last is None:
        return "never"
    document = f", document {last.document[:16]}" if last.document else ""
    return (
        f"{human.moment(last.imported_at, seen.now)}, {last.mode} from cluster {last.cluster_name}"
        f" of {human.moment(last.exported_at)}{document}"
    )


def _undo(seen: Status) -> str:
    undo = seen.undo
    if not undo.entries:
        return "nothing"
    return f"{human.counts(undo.entries, 'step')}, newest {undo.newest}: {undo.title}"
