"""JSON objects to structs and back, every field checked once, at the border.

The constraints stand in the structs' types; what types cannot say (inline files, unknown keys, unique names) is here.
An error is `InvalidField` and names the field; the format turns it into `MalformedExport`.
"""

from __future__ import annotations

import binascii
import re
from typing import Any, TypeVar

import msgspec
import pybase64
from msgspec import UNSET, Struct, structs

from blixard import limits
from blixard.errors import InvalidField
from blixard.model.structs import Disk, File, JsonObject, Network, Node, Vm

U64_MAX = (1 << 64) - 1
T = TypeVar("T", bound=Struct)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_AT = re.compile(r"(.*) - at `\$(.*)`\Z", re.DOTALL)


def check_name(name: str, at: str) -> str:
    """Return `name` when it is a valid cluster, VM, disk or node name.

    Raises:
        InvalidField: otherwise; `at` names the field.
    """
    if not _NAME.fullmatch(name):
        raise InvalidField(
            at,
            f"{name[:80]!r} is not a name",
            hint="letters, digits, `.`, `_`, `-`; at most 63; a letter or digit first",
        )
    return name


def decode_vm(given: JsonObject, at: str = "vm") -> Vm:
    """A VM from its JSON object; unknown keys go to `unknown`.

    Raises:
        InvalidField: naming the field below `at`.
    """
    nested = {
        "disks": _each(given, "disks", Disk, at),
        "networks": _each(given, "networks", Network, at),
        "files": _each(given, "files", File, at),
    }
    vm = _convert({**given, **{key: value for key, value in nested.items() if value is not None}}, Vm, at)
    for kind in ("disks", "networks", "files"):
        _check_unique(getattr(vm, kind), f"{at}.{kind}")
    for position, file in enumerate(vm.files):
        _check_file(file, f"{at}.files[{position}]")
    for position, disk in enumerate(vm.disks):
        if disk.size_bytes > limits.DEFAULT.disk_bytes:
            raise InvalidField(
                f"{at}.disks[{position}].size_bytes", f"{disk.size_bytes} is over the limit `disk_bytes`"
            )
    for field in ("node_id",):
        _check_u64(getattr(vm, field), f"{at}.{field}")
    return vm


def decode_node(given: JsonObject, at: str = "node") -> Node:
    """A node from its JSON object; unknown keys go to `unknown`.

    Raises:
        InvalidField: naming the field below `at`.
    """
    node = _convert(given, Node, at)
    _check_u64(node.id, f"{at}.id")
    return node


def to_object(value: Struct) -> JsonObject:
    """The JSON object of a struct: keys in the model's order, unknown ones sorted behind them."""
    made: JsonObject = {}
    for field, encoded in zip(structs.fields(value), value.__struct_encode_fields__, strict=True):
        item = getattr(value, field.name)
        if item is UNSET or field.name == "unknown":
            continue
        made[encoded] = _plain(item)
    unknown = getattr(value, "unknown", UNSET)
    if unknown is not UNSET:
        made.update(sorted(unknown.items()))
    return made


def file_bytes(file: File) -> bytes | None:
    """The bytes of an inline file; None when its content is an image."""
    if file.text is not UNSET:
        return file.text.encode()
    if file.base64 is not UNSET:
        return pybase64.b64decode(file.base64, validate=True)
    return None


def _plain(item: Any) -> Any:
    if isinstance(item, Struct):
        return to_object(item)
    if isinstance(item, tuple):
        return [_plain(each) for each in item]
    return msgspec.to_builtins(item)


def _each(given: JsonObject, key: str, kind: type[T], at: str) -> list[T] | None:
    listed = given.get(key)
    if listed is None:
        return None
    if not isinstance(listed, list):
        raise InvalidField(f"{at}.{key}", "must be an array")
    return [_convert(item, kind, f"{at}.{key}[{position}]") for position, item in enumerate(listed)]


def _convert(given: Any, kind: type[T], at: str) -> T:
    if not isinstance(given, dict):
        raise InvalidField(at, "must be an object")
    known = kind.__struct_fields__
    extra = {key: value for key, value in given.items() if key == "unknown" or key not in known}
    if extra:
        given = {key: value for key, value in given.items() if key not in extra}
        if "unknown" in known:
            given["unknown"] = extra
    try:
        return msgspec.convert(given, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _field_error(error, at) from error


def _field_error(error: msgspec.ValidationError, at: str) -> InvalidField:
    match = _AT.match(str(error))
    if match:
        return InvalidField(at + match[2], _lower(match[1]))
    missing = re.match(r"Object missing required field `([^`]*)`", str(error))
    if missing:
        return InvalidField(f"{at}.{missing[1]}", "is missing")
    return InvalidField(at, _lower(str(error)))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _check_u64(value: int | None, at: str) -> None:
    # msgspec's constraints are signed 64 bit, ids are u64
    if value is not None and value > U64_MAX:
        raise InvalidField(at, f"{value} is over 2^64-1")


def _check_unique(items: tuple[Disk | File | Network, ...], at: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item.name in seen:
            raise InvalidField(at, f"`{item.name}` is there twice")
        seen.add(item.name)


def _check_file(file: File, at: str) -> None:
    given = [key for key in ("text", "base64", "image") if getattr(file, key) is not UNSET]
    if len(given) > 1:
        raise InvalidField(at, f"has {' and '.join(f'`{key}`' for key in given)}: only one of them may be there")
    try:
        content = file_bytes(file)
    except (binascii.Error, ValueError) as error:
        raise InvalidField(f"{at}.base64", "is not base64") from error
    if content is None:
        return
    if len(content) > limits.DEFAULT.inline_file_bytes:
        raise InvalidField(at, "is over the limit `inline_file_bytes` of 1 MiB")
    if file.size_bytes is not UNSET and file.size_bytes != len(content):
        raise InvalidField(f"{at}.size_bytes", f"says {file.size_bytes}, the content has {len(content)} bytes")
