"""A plan as lines for people: `+` made, `~` changed, `-` deleted, `!` in the way; symbols carry the meaning, no colour.

What stays is counted, not listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import UNSET

from blixard.cli.screen import human
from blixard.plan.undo import UndoPlan
from blixard.plan.values import Action, ContentAction, ContentChange, FieldChange, ImportPlan, NodeChange, VmChange

_SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.CONFLICT: "!"}
_STAYS = (ContentAction.KEEP, ContentAction.ABSENT)
_SHOWN = 20
_NAMED = 5


def plan_lines(plan: ImportPlan | UndoPlan) -> Iterator[str]:
    """The whole plan."""
    for node in plan.nodes:
        yield from change_lines("node", node, _SHOWN)
    contents: dict[str, list[ContentChange]] = {}
    for content in plan.contents:
        contents.setdefault(content.key.vm_id, []).append(content)
    for vm in plan.vms:
        yield from change_lines("VM", vm, _SHOWN)
        of_vm = contents.get(vm.id, ())
        if vm.kind is not Action.KEEP or any(each.action not in _STAYS for each in of_vm):
            yield from (f"    {_content_line(each)}" for each in of_vm)
    yield summary(plan)


def summary(plan: ImportPlan | UndoPlan) -> str:
    """`3 VMs created, 1 updated, 2 deleted, 5 kept`."""
    words = {
        Action.CREATE: "created",
        Action.UPDATE: "updated",
        Action.DELETE: "deleted",
        Action.KEEP: "kept",
        Action.CONFLICT: "in conflict",
    }
    disks = sum(change.action in (ContentAction.STAGE, ContentAction.RESTORE) for change in plan.contents)
    text = f"VMs: {counted(plan.vms, words) or 'none'}"
    return f"{text}; disks brought in: {disks}" if disks else text


def counted(changes: Iterable[VmChange], words: Mapping[Action, str]) -> str:
    """`3 created, 1 updated`: how many changes there are of each kind, in the words and the order of `words`."""
    counts = Counter(change.kind for change in changes)
    return ", ".join(f"{counts[kind]} {word}" for kind, word in words.items() if counts[kind])


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


def change_lines(what: str, change: NodeChange | VmChange, most: int | None = None) -> Iterator[str]:
    """What becomes of a node or VM, and its fields: all of them, or at most `most`; nothing when it stays."""
    if change.kind is Action.KEEP:
        return
    notes = f" ({'; '.join(change.notes)})" if change.notes else ""
    yield human.visible(f"{_SIGNS[change.kind]} {what} {change.name}{notes}")
    yield from (f"    {field_text(field)}" for field in change.fields[:most])
    if most is not None and len(change.fields) > most:
        yield f"    and {len(change.fields) - most} more fields"


def field_text(field: FieldChange) -> str:
    """`/memory: 2048 -> 4096`."""
    return human.visible(f"{field.pointer}: {_side(field.before)} -> {_side(field.after)}")


def _side(value: object) -> str:
    if value is UNSET:
        return "(absent)"
    return human.short(msgspec.json.encode(value).decode())


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
    return human.some([f"`{name}`" for name in names], _NAMED)
