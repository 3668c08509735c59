"""The fields in which two JSON objects differ, as JSON pointers.

Disks, files and networks are compared by name, not by place, so that a disk put in front does not read as if every
disk after it had changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import NoneType
from typing import Any

from msgspec import UNSET, Struct

from blixard.model.codec import to_object
from blixard.model.pointer import Tokens, is_inside, join, parse
from blixard.model.structs import JsonObject, Node, Vm
from blixard.plan.values import Action, FieldChange, NodeChange, VmChange

HIDDEN = "(secret)"
_PLAIN = (str, int, bool, NoneType)


def differences(before: JsonObject, after: JsonObject, *, secret: Collection[str] = ()) -> tuple[FieldChange, ...]:
    """What differs, in the order of `after`'s keys, then what only `before` has.

    `secret` are pointers whose values are shown as `(secret)`; that they differ is still told.
    """
    changes = tuple(_objects(before, after, ()))
    if not secret:
        return changes
    hidden = [parse(pointer) for pointer in secret]
    return tuple(_hide(change, hidden) for change in changes)


def struct_differences(before: Struct, after: Struct, *, secret: Collection[str] = ()) -> tuple[FieldChange, ...]:
    """`differences` of two nodes or two VMs. Where only plain values differ, as mostly, no JSON is made to tell."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in before.__struct_fields__)
    changed = [(name, old, new) for name, old, new in pairs if old != new]
    if secret or not all(type(value) in _PLAIN for _, *sides in changed for value in sides):
        return differences(to_object(before), to_object(after), secret=secret)
    return tuple(FieldChange(f"/{name}", old, new) for name, old, new in changed)


def vm_change(before: Vm | None, after: Vm | None) -> VmChange:
    """How a VM that is there before, after or on both sides changes."""
    shown = before if after is None else after
    assert shown is not None  # noqa: S101 - what is on neither side does not change
    kind, fields = _kind(before, after), _fields(before, after)
    return VmChange(kind=kind, name=shown.name, id=shown.id or "", before=before, after=after, fields=fields)


def node_change(node_id: int, before: Node | None, after: Node | None) -> NodeChange:
    """How a node that is there before, after or on both sides changes."""
    kind, fields, name = _kind(before, after), _fields(before, after), node_name(node_id, after, before)
    return NodeChange(kind=kind, name=name, id=node_id, before=before, after=after, fields=fields)


def node_name(node_id: int, *sides: Node | None) -> str:
    """What people call a node, on the first of these sides on which it is there: its name, else its id."""
    shown = next((node for node in sides if node is not None), None)
    return (shown.name if shown is not None else None) or str(node_id)


def _kind(before: object, after: object) -> Action:
    if before is None:
        return Action.CREATE
    return Action.DELETE if after is None else Action.UPDATE


def _fields(before: Struct | None, after: Struct | None) -> tuple[FieldChange, ...]:
    return () if before is None or after is None else struct_differences(before, after)


def _objects(before: JsonObject, after: JsonObject, at: tuple[str | int, ...]) -> Iterator[FieldChange]:
    for key, value in after.items():
        yield from _values(before.get(key, UNSET), value, (*at, key))
    for key, value in before.items():
        if key not in after:
            yield FieldChange(join((*at, key)), value, UNSET)


def _values(before: Any, after: Any, at: tuple[str | int, ...]) -> Iterator[FieldChange]:
    if type(before) is type(after) and before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(before, after, at)
    elif _is_named(before) and _is_named(after):
        yield from _named(before, after, at)
    else:
        yield FieldChange(join(at), before, after)


def _named(before: list[JsonObject], after: list[JsonObject], at: tuple[str | int, ...]) -> Iterator[FieldChange]:
    old = {item["name"]: item for item in before}
    new = {item["name"] for item in after}
    for position, item in enumerate(after):
        yield from _values(old.get(item["name"], UNSET), item, (*at, position))
    for position, item in enumerate(before):
        if item["name"] not in new:
            yield FieldChange(join((*at, position)), item, UNSET)
    if [item["name"] for item in before if item["name"] in new] != [
        item["name"] for item in after if item["name"] in old
    ]:
        yield FieldChange(join(at), [item["name"] for item in before], [item["name"] for item in after])


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value)


def _hide(change: FieldChange, hidden: list[Tokens]) -> FieldChange:
    place = parse(change.pointer)
    if not any(is_inside(place, secret) or is_inside(secret, place) for secret in hidden):
        return change
    before, after = (UNSET if side is UNSET else HIDDEN for side in (change.before, change.after))
    return FieldChange(change.pointer, before, after)
