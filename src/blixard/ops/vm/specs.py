"""What an operator asks of a new VM, and the checked `Vm` that it becomes.

The JSON object goes through the codec that imports use: one set of rules for a field, whoever gives it.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

from msgspec import Struct

from blixard.errors import InvalidField
from blixard.model.codec import check_name, decode_vm
from blixard.model.structs import DesiredState, DiskFormat, FileRole, JsonObject, Vm

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
    bus: str = "virtio"
    boot_index: int | None = None
    read_only: bool = False
    backing: Path | None = None


class FileSpec(Struct, frozen=True, kw_only=True):
    """A file to be given to a VM."""

    role: FileRole
    path: Path
    name: str


class NetworkSpec(Struct, frozen=True, kw_only=True):
    """A network interface of a VM."""

    name: str
    network: str | None = None
    bridge: str | None = None
    mac: str | None = None
    ip: str | None = None


class VmSpec(Struct, frozen=True, kw_only=True):
    """A VM to be made; `memory` in MB."""

    name: str
    vcpus: int = 1
    memory: int = 1024
    config_path: str = ""
    tenant: str = "default"
    ip: str | None = None
    priority: int = 500
    metadata: dict[str, str] = {}
    labels: dict[str, str] = {}
    desired: DesiredState = DesiredState.STOPPED
    node_id: int | None = None
    disks: tuple[DiskSpec, ...] = ()
    files: tuple[FileSpec, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()
    image_in_place: bool = False


def check_spec(spec: VmSpec) -> None:
    """Check all that can be checked before a disk is opened.

    Raises:
        InvalidField: naming the field.
    """
    at = f"vm.{spec.name}"
    check_name(spec.name, "vm.name")
    _check_names([each.name for each in spec.disks], f"{at}.disks")
    _check_names([each.name for each in spec.files], f"{at}.files")
    for disk in spec.disks:
        _check_bus(disk.bus, f"{at}.disks.{disk.name}.bus")
        check_backing(disk.backing, disk.format, f"{at}.disks.{disk.name}.backing")
    for network in spec.networks:
        check_network(network, f"{at}.networks.{network.name}")
    if spec.ip is not None:
        check_ip(spec.ip, f"{at}.ip_address")
    to_vm(spec, vm_id="00000000-0000-4000-8000-000000000000")


def to_vm(
    spec: VmSpec, *, vm_id: str, disks: list[JsonObject] | None = None, files: list[JsonObject] | None = None
) -> Vm:
    """The VM that `spec` describes, every field checked.

    Args:
        spec: what was asked for.
        vm_id: its id, a UUID.
        disks: its disks as JSON objects, once their sizes are known.
        files: its files as JSON objects.

    Raises:
        InvalidField: naming the field.
    """
    given: dict[str, Any] = {
        "name": spec.name,
        "config_path": spec.config_path,
        "vcpus": spec.vcpus,
        "memory": spec.memory,
        "tenant_id": spec.tenant,
        "ip_address": spec.ip,
        "metadata": dict(spec.metadata) or None,
        "priority": spec.priority,
        "id": vm_id,
        "node_id": spec.node_id,
        "desired_state": spec.desired.value,
        "labels": dict(spec.labels),
        "disks": disks or [],
        "files": files or [],
        "networks": [
            {"name": each.name, "network": each.network, "bridge": each.bridge, "mac": each.mac, "ip": each.ip}
            for each in spec.networks
        ],
    }
    return decode_vm(given, f"vm.{spec.name}")


def check_network(network: NetworkSpec, at: str) -> None:
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
    """A backing chain is followed only in what the operator calls qcow2 (`detect.py` says why).

    Raises:
        InvalidField: a folder for backing files, and the format is not said or another one.
    """
    if folder is not None and disk_format is not DiskFormat.QCOW2:
        raise InvalidField(
            at, "only an image that is said to be qcow2 has backing files", hint="add `format=qcow2` if it is one"
        )


def check_ip(text: str, at: str) -> None:
    """Check an IPv4 or IPv6 address.

    Raises:
        InvalidField: it is not one.
    """
    try:
        ipaddress.ip_address(text)
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


def default_file_name(path: Path) -> str:
    """What a file is called when nobody says: as its path ends."""
    return path.name
