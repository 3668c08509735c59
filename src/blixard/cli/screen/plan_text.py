"""A plan as lines for people: `+` made, `~` changed, `-` deleted, `!` in the way; symbols carry the meaning, no colour.

What stays is counted, not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET

from blixard.cli.screen import human
from blixard.plan.undo import UndoPlan
from blixard.plan.values import Action, ContentAction, ContentChange, FieldChange, ImportPlan, NodeChange, VmChange

_SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.CONFLICT: "!"}
_SHOWN = 20
_NAMED = 5
_VALUE_CHARS = 60


def plan_lines(plan: ImportPlan | UndoPlan) -> Iterator[str]:
    """The whole plan."""
    for node in plan.nodes:
        yield from _change_lines("node", node)
    contents: dict[str, list[ContentChange]] = {}
    for content in plan.contents:
        contents.setdefault(content.key.vm_id, []).append(content)
    for vm in plan.vms:
        yield from _change_lines("VM", vm)
        if vm.kind is not Action.KEEP or any(_moves(each) for each in contents.get(vm.id, ())):
            yield from (f"    {line}" for each in contents.get(vm.id, ()) if (line := _content_line(each)))
    yield summary(plan)


def summary(plan: ImportPlan | UndoPlan) -> str:
    """`3 VMs created, 1 updated, 2 deleted, 5 kept`."""
    counts = {kind: sum(change.kind is kind for change in plan.vms) for kind in Action}
    words = {
        Action.CREATE: "created",
        Action.UPDATE: "updated",
        Action.DELETE: "deleted",
        Action.KEEP: "kept",
        Action.CONFLICT: "in conflict",
    }
    parts = [f"{counts[kind]} {word}" for kind, word in words.items() if counts[kind]]
    disks = sum(change.action in (ContentAction.STAGE, ContentAction.RESTORE) for change in plan.contents)
    text = "VMs: " + (", ".join(parts) or "none")
    return f"{text}; disks brought in: {disks}" if disks else text


def takes_away(plan: ImportPlan) -> bool:
    """True when something that is here is deleted or overwritten."""
    kinds = {change.kind for change in plan.vms}
    return bool(kinds & {Action.UPDATE, Action.DELETE}) or any(
        change.before is not None and change.action in (ContentAction.STAGE, ContentAction.DROP)
        for change in plan.contents
    )


def findings(plan: ImportPlan) -> Iterator[str]:
    """What an operator has to know about an import, one line a kind, however many VMs it is about."""
    if plan.held:
        yield f"held, as they come from another cluster: {_some(plan.held)}; `blixard vm release NAME` lets one start"
    absent = [f"{each.vm}/{each.key.name}" for each in plan.absent()]
    if absent:
        yield f"without content: {_some(absent)}; `blixard vm attach-image VM DISK PATH` gives it"
    if plan.untrusted:
        different = {pointer for inert in plan.untrusted for pointer in inert.pointers}
        pointers = sorted({_field(pointer) for pointer in different})
        names = _some([inert.vm for inert in plan.untrusted])
        yield f"inert until `blixard vm trust NAME`: {', '.join(pointers)} of {names}"
    moved: dict[str, list[str]] = {}
    for move in plan.moves:
        moved.setdefault(move.text(), []).append(move.vm)
    for text, vms in sorted(moved.items()):
        yield f"{text}: {_some(vms)}"
    yield from _collisions(plan)
    if plan.missing_networks:
        yield f"networks that are not here: {_some(plan.missing_networks)}; `--map-network OLD=NEW`"
    if plan.left_out_nodes:
        nodes = _some([str(node) for node in plan.left_out_nodes])
        yield f"nodes of another cluster left out: {nodes}; `--with-nodes` brings them as records"
    unknown = [*plan.source.kept.document, *(f"metadata/{key}" for key in plan.source.kept.metadata)]
    if unknown:
        yield f"kept for a later version of blixard that knows them: {human.visible(_some(sorted(unknown)))}"
    if plan.failed_images:
        taken = {each.note: f"{each.vm}/{each.key.name}" for each in plan.contents if each.note}
        for why in plan.failed_images.values():
            yield f"`{taken.get(why, '?')}` was not taken: {why}"


def _collisions(plan: ImportPlan) -> Iterator[str]:
    for kind in ("uuid", "mac", "ip"):
        clashes = [clash for clash in plan.collisions if clash.kind == kind]
        if clashes:
            users = _some([user for clash in clashes for user in clash.users])
            values = _some([f"{clash.value} ({clash.vm})" for clash in clashes])
            yield f"{kind} in use already: {values} by {users}; `--new-identity` gives others"


def _field(pointer: str) -> str:
    """`networks/bridge` of `/networks/0/bridge`: which field, whatever its position."""
    return "/".join(token for token in pointer.split("/") if token and not token.isdecimal())


def _change_lines(what: str, change: NodeChange | VmChange) -> Iterator[str]:
    notes = f" ({'; '.join(change.notes)})" if change.notes else ""
    if change.kind is Action.KEEP:
        return
    yield human.visible(f"{_SIGNS[change.kind]} {what} {change.name}{notes}")
    for field in change.fields[:_SHOWN]:
        yield human.visible(f"    {field.pointer}: {_side(field.before)} -> {_side(field.after)}")
    if len(change.fields) > _SHOWN:
        yield f"    and {len(change.fields) - _SHOWN} more fields"


def field_text(field: FieldChange) -> str:
    """`/memory: 2048 -> 4096`."""
    return human.visible(f"{field.pointer}: {_side(field.before)} -> {_side(field.after)}")


def _side(value: object) -> str:
    if value is UNSET:
        return "(absent)"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _VALUE_CHARS else text[: _VALUE_CHARS - 3] + "..."


def _moves(change: ContentChange) -> bool:
    return change.action not in (ContentAction.KEEP, ContentAction.ABSENT)


def _content_line(change: ContentChange) -> str:
    size = human.size(change.size_bytes)
    note = f" ({change.note})" if change.note else ""
    words = {
        ContentAction.STAGE: f"content from the file, {size}",
        ContentAction.KEEP: "content stays",
        ContentAction.ABSENT: "no content",
        ContentAction.DROP: "content goes, undo keeps it",
        ContentAction.RESTORE: f"content comes back, {size}",
    }
    return human.visible(f"{change.key.kind} {change.key.name}: {words[change.action]}{note}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"`{name}`" for name in names[:_NAMED]) + more
