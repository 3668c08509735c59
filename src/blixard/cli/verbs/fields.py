"""Options that hold several fields: `PATH,name=root,bus=virtio`, `ROLE=PATH`, `NAME,bridge=br0`.

The grammar is QEMU's: commas separate, `,,` is a comma. What a field may be is decided by ops, not here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from blixard.errors import InvalidField, UsageError
from blixard.model.structs import DEFAULT_BUS, DiskFormat, FileRole, Network
from blixard.ops.vm.specs import DiskSpec, FileSpec, default_disk_name

_YES = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


def split_fields(text: str, option: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """What stands before the first comma, and the fields behind it.

    Raises:
        UsageError: a field is not `key=value`, not known, or there twice.
    """
    first, *rest = (part.replace("\0", ",") for part in text.replace(",,", "\0").split(","))
    fields: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or key not in known:
            hint = f"it takes {', '.join(f'`{each}=`' for each in known)}; a comma in a path is written `,,`"
            raise UsageError(f"`{option} {text}`: `{part}` is not a field of it", hint=hint)
        if key in fields:
            raise UsageError(f"`{option} {text}`: `{key}=` is there twice")
        fields[key] = value
    return first, fields


def disk_specs(texts: tuple[str, ...]) -> tuple[DiskSpec, ...]:
    """The disks of `--disk PATH[,name=][,format=][,bus=][,boot-index=][,read-only=][,backing=]`."""
    return tuple(_disk_spec(text, position) for position, text in enumerate(texts))


def file_specs(texts: tuple[str, ...]) -> tuple[FileSpec, ...]:
    """The files of `--file ROLE=PATH[,name=]`."""
    return tuple(_file_spec(text) for text in texts)


def network_specs(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The interfaces of `--network NAME[,bridge=][,network=][,mac=][,ip=]`."""
    specs = []
    for text in texts:
        name, fields = split_fields(text, "--network", ("bridge", "network", "mac", "ip"))
        mac = fields.get("mac")
        specs.append(
            Network(
                name=name,
                network=fields.get("network"),
                bridge=fields.get("bridge"),
                mac=mac.lower() if mac else None,
                ip=fields.get("ip"),
            )
        )
    return tuple(specs)


def disk_format(text: str | None, at: str) -> DiskFormat | None:
    """The format that `text` names; None for None.

    Raises:
        InvalidField: there is no such format.
    """
    if text is None:
        return None
    try:
        return DiskFormat(text)
    except ValueError as error:
        raise InvalidField(
            at, f"{text[:20]!r} is not a format", hint=" or ".join(f"`{each}`" for each in DiskFormat)
        ) from error


def _disk_spec(text: str, position: int) -> DiskSpec:
    path, fields = split_fields(text, "--disk", ("name", "format", "bus", "boot-index", "read-only", "backing"))
    name = fields.get("name", default_disk_name(position))
    at = f"vm.disks.{name}"
    if not path:
        raise UsageError(f"`--disk {text}` names no path")
    return DiskSpec(
        path=Path(path),
        name=name,
        format=disk_format(fields.get("format"), f"{at}.format"),
        bus=fields.get("bus", DEFAULT_BUS),
        boot_index=_number(fields.get("boot-index"), f"{at}.boot_index"),
        read_only=_flag(fields.get("read-only", "off"), f"{at}.read_only"),
        backing=Path(fields["backing"]) if fields.get("backing") else None,
    )


def _file_spec(text: str) -> FileSpec:
    first, fields = split_fields(text, "--file", ("name",))
    role, equals, path = first.partition("=")
    if not equals or role not in set(FileRole) or not path:
        raise UsageError(
            f"`--file {text}` is not ROLE=PATH", hint=f"a role is {', '.join(f'`{each}`' for each in FileRole)}"
        )
    return FileSpec(role=FileRole(role), path=Path(path), name=fields.get("name", Path(path).name))


def _number(text: str | None, at: str) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise InvalidField(at, f"{text[:20]!r} is not a number")
    return int(text)


def _flag(text: str, at: str) -> bool:
    if text not in _YES:
        raise InvalidField(at, f"{text[:20]!r} is neither `on` nor `off`")
    return _YES[text]
