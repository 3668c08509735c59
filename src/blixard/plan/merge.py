"""FORMAT.md's "Absent fields", as functions on JSON objects.

On JSON and not on structs, because a merge must know which keys were given: a default cannot tell absent from set.
"""

from __future__ import annotations

from copy import deepcopy
from operator import attrgetter
from typing import Any

from msgspec import UNSET, structs

from blixard.model.codec import decode_vm, to_object
from blixard.model.incoming import IncomingVm
from blixard.model.pointer import Tokens, find, remove
from blixard.model.structs import JsonObject, Vm

NAMED = ("disks", "files", "networks")
"""Lists that merge by name; nothing is taken away from them."""
DECIDED = frozenset({"name", "id", "origin", "node_id", "hold", "untrusted"})
"""Fields that the plan decides; a file's value is one input of the decision, never merged."""
_MERGED_NAMES = tuple(name for name in Vm.__struct_fields__ if name not in DECIDED)
_MERGED = attrgetter(*_MERGED_NAMES)
_CONTENT = ("text", "base64", "image", "size_bytes")


def merge_objects(ours: JsonObject, theirs: JsonObject) -> JsonObject:
    """`ours` with every key of `theirs`: objects by key, all else (null and `[]` too) set."""
    merged = dict(ours)
    for key, value in theirs.items():
        mine = merged.get(key)
        merged[key] = merge_objects(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged


def merge_vm(ours: Vm, given: JsonObject) -> Vm:
    """Our VM with the fields that the document gives; those in `DECIDED` stay ours.

    Raises:
        InvalidField: the merged VM breaks a rule that neither side breaks alone.
    """
    mine = to_object(ours)
    plain = {key: value for key, value in given.items() if key not in NAMED and key not in DECIDED}
    merged = merge_objects(mine, plain)
    for key in NAMED:
        if key in given:
            merged[key] = _merge_named(mine[key], given[key])
    return decode_vm(merged, f"vms.{ours.name}")


def merge_changes_nothing(ours: Vm, theirs: Vm, incoming: IncomingVm) -> bool:
    """True when every given field already has its value here: tells it without going over JSON, for most VMs.

    False only says that a merge has to be tried.
    """
    mine, other = _MERGED(ours), _MERGED(theirs)
    if mine == other:
        return True
    return all(
        a == b or not incoming.gives(name)
        for name, a, b in zip(_MERGED_NAMES, mine, other, strict=True)
        if name != "unknown"
    ) and (theirs.unknown is UNSET or theirs.unknown == ours.unknown)


def replace_vm(ours: Vm, incoming: IncomingVm) -> Vm:
    """What a replace makes of our VM: the file's, but for lists that a file of the original cannot speak of."""
    kept: dict[str, Any] = {key: getattr(ours, key) for key in ("disks", "files") if not incoming.gives(key)}
    return structs.replace(incoming.vm, **kept) if kept else incoming.vm


def without_places(given: JsonObject, places: tuple[Tokens, ...]) -> JsonObject:
    """The object with those places absent; an element of an array becomes null, so that the others stay in place."""
    left: JsonObject = deepcopy(given)
    for place in places:
        remove(left, place)
    return left


def with_ours_at(made: JsonObject, ours: JsonObject, theirs: JsonObject, places: tuple[Tokens, ...]) -> JsonObject:
    """`made` with our value at each redacted place where we have one; places are those of `theirs` (the file's)."""
    kept: JsonObject = deepcopy(made)
    for place in places:
        _keep_ours(kept, ours, theirs, place)
    return kept


def _keep_ours(made: Any, ours: Any, theirs: Any, place: Tokens) -> None:
    """Walk the three objects down to the place; elements that have a name are found again by it."""
    for token in place[:-1]:
        if isinstance(made, dict) and isinstance(ours, dict) and isinstance(ours.get(token), dict):
            made[token] = made.get(token) or {}
        made, ours, theirs = _child(made, theirs, token), _child(ours, theirs, token), find(theirs, (token,))
    key = place[-1]
    if isinstance(made, dict) and isinstance(ours, dict):
        _put_ours(made, ours, key)
    elif isinstance(made, list) and find(made, (key,)) is None and isinstance(find(ours, (key,)), str):
        made[int(key)] = find(ours, (key,))


def _child(value: Any, theirs: Any, token: str) -> Any:
    item = find(theirs, (token,))
    if isinstance(theirs, list) and isinstance(item, dict) and "name" in item:
        return _by_name(value, item["name"])
    return find(value, (token,))


def _put_ours(made: JsonObject, ours: JsonObject, key: str) -> None:
    if key in _CONTENT and "role" in made:
        # a file has one of text, base64 and image: ours comes with its form
        for form in _CONTENT:
            made.pop(form, None)
        made.update({form: ours[form] for form in _CONTENT if form in ours})
    elif key in ours:
        made[key] = ours[key]


def _by_name(items: Any, name: Any) -> Any:
    if not isinstance(items, list):
        return UNSET
    return next((item for item in items if isinstance(item, dict) and item.get("name") == name), UNSET)


def _merge_named(ours: list[JsonObject], theirs: list[JsonObject]) -> list[JsonObject]:
    given = {item["name"]: item for item in theirs}
    merged = [_merge_item(item, given[item["name"]]) if item["name"] in given else item for item in ours]
    names = {item["name"] for item in ours}
    return merged + [item for item in theirs if item["name"] not in names]


def _merge_item(ours: JsonObject, theirs: JsonObject) -> JsonObject:
    if any(key in theirs for key in ("text", "base64", "image")):
        # the forms of a file's content exclude each other
        ours = {key: value for key, value in ours.items() if key not in _CONTENT}
    elif "role" in ours:
        theirs = {key: value for key, value in theirs.items() if key != "size_bytes"}
    return merge_objects(ours, theirs)
