"""JSON objects to structs and back, every field checked once, at the border.

The constraints stand in the structs' types; what types cannot say (inline files, unknown keys, unique names) is here.
An error is `InvalidField` and names the field; the format turns it into `MalformedExport`.
"""

from __future__ import annotations

import binascii
import re
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct

from blixard import limits
from blixard.errors import InvalidField
from blixard.model.structs import Disk, File, JsonObject, Network, Node, Vm

U64_MAX = (1 << 64) - 1
T = TypeVar("T", bound=Struct)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# texts, not patterns: most commands meet no error and need not compile them
_AT = r"(?s)(.*) - at `\$(.*)`\Z"
_MISSING = r"Object missing required field `([^`]*)`"
_FREE = attrgetter("anti_affinity", "health_check_config", "boot", "locality_preference")
_NOTHING = (None, None, None, UNSET)
_NESTED: dict[str, type[Struct]] = {"disks": Disk, "files": File, "networks": Network}
_encode = msgspec.json.Encoder(order="deterministic").encode


def is_name(name: str) -> bool:
    """True when a cluster, VM, disk or node may be called `name`."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str, at: str) -> str:
    """Return `name` when it is a valid cluster, VM, disk or node name.

    Raises:
        InvalidField: otherwise; `at` names the field.
    """
    if not is_name(name):
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
    vm = _convert_at_once(given) or decode_object(_nested_unknown_apart(given, at), Vm, at)
    check_vm(vm, at)
    return vm


def check_vm(vm: Vm, at: str = "vm") -> None:
    """What the types of a VM cannot say.

    Raises:
        InvalidField: naming the field below `at`.
    """
    if vm.disks or vm.files or len(vm.networks) > 1:
        _check_parts(vm, at)
    if vm.node_id is not None:
        _check_u64(vm.node_id, at, "node_id")


def _check_parts(vm: Vm, at: str) -> None:
    _check_unique(vm.disks, at, "disks")
    _check_unique(vm.files, at, "files")
    _check_unique(vm.networks, at, "networks")
    for position, file in enumerate(vm.files):
        _check_file(file, f"{at}.files[{position}]")
    for position, disk in enumerate(vm.disks):
        if disk.size_bytes > limits.DEFAULT.disk_bytes:
            raise InvalidField(
                f"{at}.disks[{position}].size_bytes", f"{disk.size_bytes} is over the limit `disk_bytes`"
            )


def has_free_values(vm: Vm) -> bool:
    """True when a field whose type says nothing about its content is set."""
    return _FREE(vm) != _NOTHING


def decode_node(given: JsonObject, at: str = "node") -> Node:
    """A node from its JSON object; unknown keys go to `unknown`.

    Raises:
        InvalidField: naming the field below `at`.
    """
    node = decode_object(given, Node, at)
    _check_u64(node.id, at, "id")
    return node


def decode_object(given: Any, kind: type[T], at: str) -> T:
    """A struct of `kind` from a JSON object; unknown keys go to `unknown` where the struct has it, else are dropped.

    Raises:
        InvalidField: naming the field below `at`.
    """
    if not isinstance(given, dict):
        raise InvalidField(at, "must be an object")
    extra = given.keys() - _known(kind)
    if extra:
        unknown = {key: value for key, value in given.items() if key in extra}
        given = {key: value for key, value in given.items() if key not in extra}
        if "unknown" in kind.__struct_fields__:
            given["unknown"] = unknown
    try:
        return msgspec.convert(given, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _field_error(error, at) from error


def to_object(value: Struct) -> JsonObject:
    """The JSON object of a struct: keys in the model's order, unknown ones and free maps sorted."""
    made: JsonObject = msgspec.json.decode(_encode(value))
    if isinstance(value, Vm):
        for kind in _NESTED:
            if kind in made:
                made[kind] = [_unknown_behind(item) for item in made[kind]]
    return _unknown_behind(made) if "unknown" in value.__struct_fields__ else made


def file_bytes(file: File) -> bytes | None:
    """The bytes of an inline file; None when its content is an image."""
    if file.text is not UNSET:
        return file.text.encode()
    if file.base64 is not UNSET:
        import pybase64

        return pybase64.b64decode(file.base64, validate=True)
    return None


@cache
def _known(kind: type[Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_fields__) - {"unknown"}


def _unknown_behind(made: JsonObject) -> JsonObject:
    made.update(made.pop("unknown", {}))
    return made


def _convert_at_once(given: Any) -> Vm | None:
    """The honest case, 100,000 times over: no unknown key, nothing wrong. None when there may be either."""
    try:
        vm = msgspec.convert(given, Vm)
    except msgspec.ValidationError:
        return None
    # a key that is called `unknown` is unknown like any other
    if vm.unknown is not UNSET:
        return None
    for items in (vm.disks, vm.files, vm.networks):
        for item in items:
            if item.unknown is not UNSET:
                return None
    return vm


def _nested_unknown_apart(given: Any, at: str) -> Any:
    """`given` with its disks, networks and files decoded, their unknown keys put aside."""
    if not isinstance(given, dict):
        return given
    for key, kind in _NESTED.items():
        listed = given.get(key)
        if not isinstance(listed, list):
            continue
        each = [decode_object(item, kind, f"{at}.{key}[{position}]") for position, item in enumerate(listed)]
        given = {**given, key: each}
    return given


def _field_error(error: msgspec.ValidationError, at: str) -> InvalidField:
    match = re.match(_AT, str(error))
    at, problem = (at + match[2], match[1]) if match else (at, str(error))
    missing = re.match(_MISSING, problem)
    if missing:
        return InvalidField(f"{at}.{missing[1]}", "is missing")
    return InvalidField(at, problem[:1].lower() + problem[1:])


def _check_u64(value: int, at: str, field: str) -> None:
    # msgspec's constraints are signed 64 bit, ids are u64
    if value > U64_MAX:
        raise InvalidField(f"{at}.{field}", f"{value} is over 2^64-1")


def _check_unique(items: tuple[Disk | File | Network, ...], at: str, kind: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item.name in seen:
            raise InvalidField(f"{at}.{kind}", f"`{item.name}` is there twice")
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
