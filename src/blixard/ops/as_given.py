"""VMs and nodes with the keys that a document gave them, and no others.

An absent key means something (a merge leaves ours, a replace keeps disks that a file does not speak of), so a file that
is only put in order must not come out with defaults that nobody wrote.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import UNSET, Struct, structs

from blixard.model.structs import JsonObject

T = TypeVar("T", bound=Struct)


def as_given(value: T, given: JsonObject) -> T:
    """`value`, decoded from `given`, so that it encodes to the keys of `given` in the model's order."""
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        if name == "unknown":
            continue
        if name not in given:
            # encoders leave out what is UNSET, whatever the field's type says
            changes[name] = UNSET
        else:
            before = getattr(value, name)
            after = _nested(before, given[name])
            if after is not before:
                changes[name] = after
    return structs.replace(value, **changes) if changes else value


def _nested(value: Any, given: Any) -> Any:
    if isinstance(value, Struct):
        return as_given(value, given)
    if isinstance(value, tuple) and value and isinstance(value[0], Struct):
        return tuple(as_given(item, each) for item, each in zip(value, given, strict=True))
    return value
