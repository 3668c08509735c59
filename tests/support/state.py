"""Nodes, VMs, contents and changes with the fields that a test cares about; the rest is plausible."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from blixard.model.structs import Content, ContentKey, ContentKind, Disk, Network, Node, Provenance, Vm
from blixard.ports import ImportRow, UndoEntry, UndoSide

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)


def uid(number: int) -> str:
    """The UUID with that number."""
    return str(uuid.UUID(int=number))


def make_vm(name: str = "web-1", *, number: int = 1, **fields: Any) -> Vm:
    given: dict[str, Any] = {
        "config_path": f"/etc/blixard/{name}.nix",
        "vcpus": 2,
        "memory": 1024,
        "disks": (Disk(name="root", size_bytes=1 << 30),),
        "networks": (Network(name="eth0", network="lan"),),
    }
    return Vm(name=name, id=uid(number), **(given | fields))


def make_node(number: int = 1, **fields: Any) -> Node:
    given: dict[str, Any] = {"data_dir": "/var/lib/blixard", "bind_addr": "10.0.0.1:7000"}
    return Node(id=number, **(given | fields))


def make_content(number: int = 1, name: str = "root", **fields: Any) -> tuple[ContentKey, Content]:
    given: dict[str, Any] = {"file": f"{number}-{name}.raw", "size_bytes": 1 << 30}
    return ContentKey(uid(number), ContentKind.DISK, name), Content(**(given | fields))


def make_provenance(**fields: Any) -> Provenance:
    given: dict[str, Any] = {"cluster_name": "there", "exported_at": NOON, "imported_at": NOON, "mode": "replace"}
    return Provenance(**(given | fields))


def make_undo(title: str = "an import", **fields: Any) -> UndoEntry:
    given: dict[str, Any] = {"made_at": NOON, "verb": "import", "before": UndoSide(), "after": UndoSide()}
    return UndoEntry(title=title, **(given | fields))


def make_import(number: int = 1, **fields: Any) -> ImportRow:
    given: dict[str, Any] = {"id": uid(number), "key": f"key-{number}", "started_at": NOON}
    return ImportRow(**(given | fields))
