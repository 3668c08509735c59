"""What differs between two states: files, clusters, a cluster then and now; object by object, field by field."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum

from msgspec import Struct, structs

from blixard.errors import ExitCode, UsageError
from blixard.limits import DEFAULT, Limits
from blixard.model.owners import owners
from blixard.model.structs import ClusterSnapshot
from blixard.ops.document.glance import glance_at
from blixard.ops.keeping.undo import find_entry
from blixard.place import is_standard, open_input
from blixard.plan.diff import ComparedState, StateDiff, diff_states, state_of_cluster, state_of_document
from blixard.plan.undo import UndoPlan, plan_undo
from blixard.plan.values import ContentAction
from blixard.site.open_cluster import OpenCluster

_CLUSTER = "cluster:"
_UNDO = "undo:"
_UNDO_ID = re.compile(r"(?:(?P<cluster>[^/]+)/)?(?P<id>[0-9]+)", re.ASCII)

Open = Callable[[str | None], AbstractContextManager[OpenCluster]]
"""Opens a cluster by name; None is the current one."""


class SideKind(StrEnum):
    """What a side of a difference is."""

    FILE = "file"
    CLUSTER = "cluster"
    UNDO = "undo"


class Side(Struct, frozen=True, kw_only=True):
    """One side: as it was given, and what it turned out to be."""

    given: str
    kind: SideKind
    cluster: str
    document: str | None = None
    """Digest that a file states."""
    revision: int | None = None


class DiffOptions(Struct, frozen=True, kw_only=True):
    """Which two states are compared, and which differences count."""

    before: str
    after: str
    volatile: bool = False
    """Also what differs in every export."""
    limits: Limits = DEFAULT


class DiffReport(Struct, frozen=True, kw_only=True):
    """What differs, going from `before` to `after`."""

    before: Side
    after: Side
    differs: bool
    diff: StateDiff


def diff(options: DiffOptions, open_cluster: Open) -> DiffReport:
    """Compare two states.

    Args:
        options: each side is a path, `-`, `cluster:NAME` (`cluster:` is the current one), `undo:ID` or `undo:NAME/ID`:
            the cluster as it was before that change, later edits of other things kept.
        open_cluster: asked for the clusters that are named.

    Raises:
        UsageError: both sides are standard input, or a side makes no sense.
        NotFound: no such cluster or undo entry.
        MalformedExport, UnsupportedVersion, LimitExceeded, StorageError: a file cannot be read.
    """
    if is_standard(options.before) and is_standard(options.after):
        raise UsageError("both sides are standard input", hint="name a file for one of them")
    one, before = _side(options.before, open_cluster, options.limits)
    other, after = _side(options.after, open_cluster, options.limits)
    found = diff_states(before, after, volatile=options.volatile)
    return DiffReport(before=one, after=other, differs=not found.is_empty, diff=found)


def pending(report: DiffReport) -> ExitCode:
    """The exit code that `--exit-code` asks for: whether anything differs."""
    return ExitCode.CHANGES_PENDING if report.differs else ExitCode.DONE


def _side(given: str, open_cluster: Open, limits: Limits) -> tuple[Side, ComparedState]:
    if given.startswith(_CLUSTER):
        with open_cluster(given.removeprefix(_CLUSTER) or None) as opened:
            snapshot = opened.snapshot()
        return _cluster_side(given, SideKind.CLUSTER, snapshot)
    if given.startswith(_UNDO):
        return _undo_side(given, open_cluster)
    return _file_side(given, limits)


def _file_side(given: str, limits: Limits) -> tuple[Side, ComparedState]:
    with open_input(given) as source:
        seen = glance_at(source, limits)
    whose = owners(seen.state.vms)
    contents = {
        (whose[number].vm, whose[number].name): image.tail.digest
        for number, image in seen.images.items()
        if number in whose and image.tail.failed is None
    }
    side = Side(given=given, kind=SideKind.FILE, cluster=seen.state.head.cluster_name, document=seen.document)
    return side, state_of_document(seen.state, contents)


def _undo_side(given: str, open_cluster: Open) -> tuple[Side, ComparedState]:
    match = _UNDO_ID.fullmatch(given.removeprefix(_UNDO))
    if match is None:
        raise UsageError(
            f"`{given}` is no undo entry", hint="`undo:ID`, or `undo:CLUSTER/ID`: `cluster undo list` shows them"
        )
    with open_cluster(match["cluster"]) as opened:
        snapshot = opened.snapshot()
        entry = find_entry(opened, int(match["id"]))
    return _cluster_side(given, SideKind.UNDO, _undone(snapshot, plan_undo(entry, snapshot, force=True)))


def _undone(snapshot: ClusterSnapshot, plan: UndoPlan) -> ClusterSnapshot:
    """The cluster as it would be after an undo."""
    gone = {change.before.name for change in plan.vms if change.before is not None}
    vms = {name: vm for name, vm in snapshot.vms.items() if name not in gone}
    vms |= {change.after.name: change.after for change in plan.vms if change.after is not None}
    gone_nodes = {change.id for change in plan.nodes if change.before is not None}
    nodes = {node_id: node for node_id, node in snapshot.nodes.items() if node_id not in gone_nodes}
    nodes |= {change.id: change.after for change in plan.nodes if change.after is not None}
    contents = dict(snapshot.contents)
    for moved in plan.contents:
        if moved.action is ContentAction.DROP:
            contents.pop(moved.key, None)
        elif moved.action is ContentAction.RESTORE and moved.after is not None:
            contents[moved.key] = moved.after
    return structs.replace(snapshot, vms=vms, nodes=nodes, contents=contents, provenance=plan.provenance)


def _cluster_side(given: str, kind: SideKind, snapshot: ClusterSnapshot) -> tuple[Side, ComparedState]:
    names = {vm.id: name for name, vm in snapshot.vms.items()}
    contents = {
        (names[key.vm_id], key.name): content.digest
        for key, content in snapshot.contents.items()
        if key.vm_id in names and content.digest is not None
    }
    side = Side(given=given, kind=kind, cluster=snapshot.name, revision=snapshot.revision)
    return side, state_of_cluster(snapshot, contents)
