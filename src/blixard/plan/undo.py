"""plan_undo: take back what a change did, wherever nobody has changed it again.

A plan like any other: before, after and now are compared object by object. What differs from all that the entry knows
is somebody's later work, and is not rolled over without `--force`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar

from msgspec import Struct, structs

from blixard.errors import Conflict
from blixard.model.changes import StateChange, UndoEntry
from blixard.model.structs import (
    ClusterSnapshot,
    Content,
    ContentKey,
    Hold,
    JsonObject,
    Node,
    NodeState,
    Provenance,
    Vm,
)
from blixard.plan.change import reversible
from blixard.plan.contents import contents_of
from blixard.plan.fields import node_change, node_name, vm_change
from blixard.plan.values import Action, ContentAction, ContentChange, NodeChange, VmChange

T = TypeVar("T", Node, Vm, Content)


class UndoPlan(Struct, frozen=True, kw_only=True):
    """What an undo would do. `before`/`after` of its changes are now and then."""

    entry_id: int
    title: str
    base_revision: int
    parks: bool
    """The entry made the cluster: its VMs are held, nothing is taken away."""
    nodes: tuple[NodeChange, ...] = ()
    vms: tuple[VmChange, ...] = ()
    contents: tuple[ContentChange, ...] = ()
    not_rolled_back: tuple[str, ...] = ()
    """`VM/DISK` whose content is the same on both sides of the entry: only its VM's settings go back."""
    provenance_before: Provenance | None = None
    provenance: Provenance | None = None

    @property
    def conflicts(self) -> tuple[NodeChange | VmChange, ...]:
        """What somebody changed since the entry was made; it is not rolled over without `--force`."""
        changes: tuple[NodeChange | VmChange, ...] = (*self.nodes, *self.vms)
        return tuple(change for change in changes if change.kind is Action.CONFLICT)

    @property
    def is_empty(self) -> bool:
        """True when everything is as it was before already."""
        moving = any(change.action in (ContentAction.RESTORE, ContentAction.DROP) for change in self.contents)
        return not moving and all(
            change.kind is Action.KEEP for changes in (self.nodes, self.vms) for change in changes
        )


def plan_undo(entry: UndoEntry, current: ClusterSnapshot, *, force: bool = False) -> UndoPlan:
    """Plan to take back one entry.

    Args:
        entry: what is taken back.
        current: the state now; a content whose file was written to since has lost its digest, which is how it shows.
        force: roll over what was changed since; the undo's own undo keeps it.
    """
    if entry.created_cluster:
        return _park(entry, current)
    nodes = _node_changes(entry, current, force=force)
    vms = {change.id: change for change in _vm_changes(entry, current, force=force)}
    contents = _content_changes(entry, current, vms, force=force)
    return UndoPlan(
        entry_id=entry.id,
        title=entry.title,
        base_revision=current.revision,
        parks=False,
        nodes=nodes,
        vms=tuple(sorted(vms.values(), key=lambda change: (change.name, change.id))),
        contents=contents,
        not_rolled_back=_not_rolled_back(entry, current),
        provenance_before=current.provenance,
        provenance=entry.before.provenance if current.provenance == entry.after.provenance else current.provenance,
    )


def undo_change(plan: UndoPlan, *, now: datetime, history: JsonObject | None = None) -> StateChange:
    """The undo as one change, with its own undo; the entry is used up.

    Raises:
        Conflict: naming everything that was changed since.
    """
    if plan.conflicts:
        listed = ", ".join(f"`{change.name}` ({'; '.join(change.notes)})" for change in plan.conflicts)
        raise Conflict(f"changed since: {listed}", hint="`--force` rolls over it; undo keeps what it rolls over")
    restored = tuple((c.key, c.after) for c in plan.contents if c.action is ContentAction.RESTORE and c.after)
    entry = partial(UndoEntry, made_at=now, verb="undo", title=f"undo of: {plan.title}")
    return structs.replace(
        reversible(plan, restored, plan.provenance, entry),
        clear_provenance=plan.provenance is None and plan.provenance_before is not None,
        drop_undo=(plan.entry_id,),
        history=history,
    )


def _park(entry: UndoEntry, current: ClusterSnapshot) -> UndoPlan:
    """Hold every VM: a cluster that an import made may have been used since, so nothing in it is deleted."""
    changes = []
    for vm in sorted(current.vms.values(), key=lambda vm: vm.name):
        parked = structs.replace(vm, hold=Hold.PARKED)
        if parked == vm:
            changes.append(VmChange(kind=Action.KEEP, name=vm.name, id=vm.id or ""))
        else:
            changes.append(vm_change(vm, parked))
    return UndoPlan(
        entry_id=entry.id,
        title=entry.title,
        base_revision=current.revision,
        parks=True,
        vms=tuple(changes),
        provenance_before=current.provenance,
        provenance=current.provenance,
    )


def _goes_back(before: T | None, after: T | None, now: T | None, *, force: bool) -> bool | None:
    """True when `before` is to be put back, False when it is there already, None when somebody changed it since."""
    if now == before:
        return False
    return True if force or now == after else None


def _node_changes(entry: UndoEntry, current: ClusterSnapshot, *, force: bool) -> tuple[NodeChange, ...]:
    before = {node.id: node for node in entry.before.nodes}
    after = {node.id: node for node in entry.after.nodes}
    changes = []
    for node_id in sorted(before.keys() | after.keys()):
        then, now = before.get(node_id), current.nodes.get(node_id)
        name = node_name(node_id, then, now, after.get(node_id))
        goes_back = _goes_back(then, after.get(node_id), now, force=force)
        if goes_back is False or (then is None and now is not None and now.state is NodeState.ACTIVE):
            changes.append(NodeChange(kind=Action.KEEP, name=name, id=node_id))
        elif goes_back is None:
            changes.append(NodeChange(kind=Action.CONFLICT, name=name, id=node_id, before=now, notes=("node",)))
        else:
            changes.append(node_change(node_id, now, then))
    return tuple(changes)


def _vm_changes(entry: UndoEntry, current: ClusterSnapshot, *, force: bool) -> list[VmChange]:
    before = {vm.id or "": vm for vm in entry.before.vms}
    after = {vm.id or "": vm for vm in entry.after.vms}
    here = current.vm_by_id()
    changes = []
    for vm_id in sorted(before.keys() | after.keys()):
        then, now = before.get(vm_id), here.get(vm_id)
        shown = then or now or after[vm_id]
        holder = current.vms.get(then.name) if then is not None else None
        goes_back = _goes_back(then, after.get(vm_id), now, force=force)
        if goes_back is False:
            changes.append(VmChange(kind=Action.KEEP, name=shown.name, id=vm_id))
        elif goes_back is None:
            note = "deleted since" if now is None else "changed since"
            changes.append(VmChange(kind=Action.CONFLICT, name=shown.name, id=vm_id, before=now, notes=(note,)))
        elif holder is not None and holder.id not in (before.keys() | after.keys()):
            note = f"`{holder.id}` has this name now: rename or delete it first"
            changes.append(VmChange(kind=Action.CONFLICT, name=shown.name, id=vm_id, before=now, notes=(note,)))
        else:
            changes.append(vm_change(now, then))
    return changes


def _content_changes(
    entry: UndoEntry, current: ClusterSnapshot, vms: dict[str, VmChange], *, force: bool
) -> tuple[ContentChange, ...]:
    """Contents that go back; one that was changed since makes its VM a conflict in `vms`."""
    before, after = dict(entry.before.contents), dict(entry.after.contents)
    names = {vm.id or "": vm.name for vm in (*entry.after.vms, *entry.before.vms, *current.vms.values())}
    changes: list[ContentChange] = []
    for key in sorted(before.keys() | after.keys() | _going(vms, current)):
        then, now = before.get(key), current.contents.get(key)
        name = names.get(key.vm_id, key.vm_id)
        goes_back = _goes_back(then, after.get(key), now, force=force)
        if goes_back is None:
            note = f"content of `{key.name}` changed since"
            known = vms.get(key.vm_id) or VmChange(kind=Action.KEEP, name=name, id=key.vm_id)
            vms[key.vm_id] = structs.replace(known, kind=Action.CONFLICT, notes=(*known.notes, note))
        elif goes_back and then is not None:
            changes.append(_content(key, name, ContentAction.RESTORE, now, then))
        elif goes_back:
            changes.append(_content(key, name, ContentAction.DROP, now, None))
        elif then is not None:
            changes.append(_content(key, name, ContentAction.KEEP, now, None))
    return tuple(changes)


def _going(vms: Mapping[str, VmChange], current: ClusterSnapshot) -> set[ContentKey]:
    """Contents of the VMs that the undo deletes, whether the entry knows them or not."""
    gone = [change.before for change in vms.values() if change.kind is Action.DELETE and change.before is not None]
    return {key for vm in gone for key in contents_of(vm, current.contents)}


def _not_rolled_back(entry: UndoEntry, current: ClusterSnapshot) -> tuple[str, ...]:
    """Disks of VMs on both sides whose content neither side speaks of: it is one content, and stays as it is now."""
    moved = {key for key, _ in (*entry.before.contents, *entry.after.contents)}
    both = {vm.id for vm in entry.before.vms} & {vm.id for vm in entry.after.vms}
    shared = []
    for vm in entry.before.vms:
        for disk in vm.disks if vm.id in both else ():
            key = vm.key_of(disk)
            if key not in moved and key in current.contents:
                shared.append(f"{vm.name}/{disk.name}")
    return tuple(sorted(shared))


def _content(
    key: ContentKey, vm: str, action: ContentAction, now: Content | None, then: Content | None
) -> ContentChange:
    shown = then or now
    return ContentChange(
        key=key,
        vm=vm,
        action=action,
        format=shown.format if shown is not None else None,
        size_bytes=shown.size_bytes if shown is not None else None,
        before=now,
        after=then,
    )
