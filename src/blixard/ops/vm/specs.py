"""What an operator asks of a new VM, and the checked `Vm` that it becomes.

The JSON object goes through the codec that imports use: one set of rules for a field, whoever gives it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import NODEFAULT, Struct, structs

from blixard.errors import InvalidField
from blixard.model.addresses import parse_ip
from blixard.model.codec import check_name, decode_vm, to_object
from blixard.model.structs import (
    DEFAULT_BUS,
    DEFAULT_MEMORY,
    DEFAULT_VCPUS,
    DiskFormat,
    FileRole,
    JsonObject,
    Network,
    Vm,
)

SETTABLE = frozenset(Vm.__struct_fields__) - {
    *("id", "name", "origin", "unknown"),
    *("hold", "untrusted"),
    *("disks", "files", "networks"),
}
"""Fields that an operator gives a value: not what a VM is, what other verbs change, or what comes with content."""
NEW_VM: JsonObject = {"config_path": "", "vcpus": DEFAULT_VCPUS, "memory": DEFAULT_MEMORY}
"""What a document must say of a VM, where who makes one does not."""
BUSES = ("virtio", "scsi", "sata", "ide", "nvme", "usb")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
# IFNAMSIZ is 16 with the zero behind it; no slash, no space (net/core/dev.c, dev_valid_name)
_BRIDGE = re.compile(r"[^\s/:]{1,15}")


class DiskSpec(Struct, frozen=True, kw_only=True):
    """A disk to be given to a VM. `format` None: looked up in its first bytes.

    `backing` is the folder that holds the backing files of a qcow2 image; None is the image's own.
    """

    path: Path
    name: str
    format: DiskFormat | None = None
    bus: str = DEFAULT_BUS
    boot_index: int | None = None
    read_only: bool = False
    backing: Path | None = None


class FileSpec(Struct, frozen=True, kw_only=True):
    """A file to be given to a VM."""

    role: FileRole
    path: Path
    name: str


class VmSpec(Struct, frozen=True, kw_only=True):
    """A VM to be made. `fields` are named as the model names them; what is not among them gets its default."""

    name: str
    fields: JsonObject = {}
    disks: tuple[DiskSpec, ...] = ()
    files: tuple[FileSpec, ...] = ()
    networks: tuple[Network, ...] = ()
    image_in_place: bool = False


def default_of(name: str) -> Any:
    """What a field of a new VM is when nobody says; None where that is nothing."""
    if name in NEW_VM:
        return NEW_VM[name]
    (found,) = (each.default for each in structs.fields(Vm) if each.name == name)
    return None if found is NODEFAULT else found


def check_settable(fields: JsonObject, at: str) -> None:
    """Check that an operator may give these fields of a VM a value; their values are checked by the codec.

    Raises:
        InvalidField: there is no such field, or it is not set as a plain value.
    """
    for name in fields:
        if name not in SETTABLE:
            raise InvalidField(f"{at}.{name}", "cannot be set")


def checked_vm(spec: VmSpec) -> Vm:
    """The VM that `spec` describes, without its id, disks and files: all that can be checked before a disk is opened.

    Raises:
        InvalidField: naming the field.
    """
    at = f"vm.{spec.name}"
    check_name(spec.name, "vm.name")
    check_settable(spec.fields, at)
    _check_names([each.name for each in spec.disks], f"{at}.disks")
    _check_names([each.name for each in spec.files], f"{at}.files")
    for disk in spec.disks:
        _check_bus(disk.bus, f"{at}.disks.{disk.name}.bus")
        check_backing(disk.backing, disk.format, f"{at}.disks.{disk.name}.backing")
    for network in spec.networks:
        check_network(network, f"{at}.networks.{network.name}")
    if spec.fields.get("ip_address") is not None:
        check_ip(spec.fields["ip_address"], f"{at}.ip_address")
    networks = [to_object(each) for each in spec.networks]
    return decode_vm({**NEW_VM, **spec.fields, "name": spec.name, "networks": networks}, at)


def check_network(network: Network, at: str) -> None:
    """Check one interface.

    Raises:
        InvalidField: naming the field.
    """
    check_name(network.name, f"{at}.name")
    if network.network is not None:
        check_name(network.network, f"{at}.network")
    if network.bridge is not None and not _BRIDGE.fullmatch(network.bridge):
        raise InvalidField(f"{at}.bridge", f"{network.bridge!r} is not the name of an interface")
    if network.mac is not None and not _MAC.fullmatch(network.mac):
        raise InvalidField(f"{at}.mac", f"{network.mac!r} is not a MAC address", hint="write it as `52:54:00:12:34:56`")
    if network.mac is not None and int(network.mac[:2], 16) & 1:
        raise InvalidField(f"{at}.mac", f"`{network.mac}` is a multicast address", hint="make the first byte even")
    if network.ip is not None:
        check_ip(network.ip, f"{at}.ip")


def check_backing(folder: Path | None, disk_format: DiskFormat | None, at: str) -> None:
    """A backing chain is followed only in what the operator calls by its format (`detect.py` says why).

    Raises:
        InvalidField: a folder for backing files, and the format is not said or another one.
    """
    if folder is not None and not (disk_format is not None and disk_format.has_backing):
        able = " or ".join(each for each in DiskFormat if each.has_backing)
        raise InvalidField(
            at, f"only an image that is said to be {able} has backing files", hint=f"add `format={able}` if it is one"
        )


def check_ip(text: str, at: str) -> None:
    """Check an IPv4 or IPv6 address.

    Raises:
        InvalidField: it is not one.
    """
    try:
        parse_ip(text)
    except ValueError as error:
        raise InvalidField(at, f"{text[:60]!r} is not an IP address") from error


def _check_bus(bus: str, at: str) -> None:
    if bus not in BUSES:
        raise InvalidField(at, f"{bus[:20]!r} is not a bus", hint=f"one of {', '.join(BUSES)}")


def _check_names(names: list[str], at: str) -> None:
    for name in names:
        check_name(name, f"{at}.name")
        if names.count(name) > 1:
            raise InvalidField(at, f"`{name}` is there twice", hint="give them names: `PATH,name=NAME`")


def default_disk_name(position: int) -> str:
    """What a disk is called when nobody says: `root`, then `disk2`, `disk3`."""
    return "root" if position == 0 else f"disk{position + 1}"
