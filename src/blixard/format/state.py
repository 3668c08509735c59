"""The state of a document as it is read: head, nodes and VMs, each decoded once and kept beside the JSON as given.

Sections come in any order; each is checked when it passes, and together they are whole when all eight keys were there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3
from msgspec import UNSET

from blixard.errors import InvalidField, MalformedExport, UnsupportedVersion
from blixard.format.cursor import Cursor
from blixard.format.digests import ListDigest, SectionDigests, names_digest
from blixard.format.elements import element, members
from blixard.format.quoting import shown
from blixard.format.vm_windows import VmWindows
from blixard.limits import MIB
from blixard.model.codec import U64_MAX, check_name, check_vm, decode_node, decode_object, decode_vm
from blixard.model.collection import no_collection
from blixard.model.incoming import IncomingNode, IncomingState, IncomingVm
from blixard.model.structs import ExportHead, ExportMetadata, JsonObject, RaftState, Vm

KEYS = ("version", "exported_at", "cluster_name", "exported_by_node", "nodes", "vms", "raft_state", "metadata")
VERSION = "1.0"
FEATURES: frozenset[str] = frozenset()
"""What `metadata.requires` may name. None yet: every rule of version 1.0 is read."""

_VERSION_1 = re.compile(r"1\.\d{1,9}", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)
NODE_KEYS = ("id", "data_dir", "use_tailscale", "vm_backend")
# escapes make a text six times as long at worst
_FILE_TEXT = 6 * MIB + 64


class StateReader:
    """Takes the sections of a document that are its state.

    Attributes:
        unknown: top-level keys that FORMAT.md does not know.
        named_images: the VM and the disk or file whose content an image is, by image number.
    """

    def __init__(self, cursor: Cursor, digests: SectionDigests) -> None:
        self.unknown: JsonObject = {}
        self.named_images: dict[int, tuple[str, str]] = {}
        self._cursor = cursor
        self._digests = digests
        self._head: dict[str, Any] = {}
        self._nodes: list[IncomingNode] = []
        self._vms: dict[str, IncomingVm] = {}
        self._seen: set[str] = set()

    @property
    def version(self) -> str | None:
        """The version, once it was read; `supported` judges it."""
        return self._head.get("version")

    @property
    def exporter(self) -> str | None:
        """What wrote the document, once that was read."""
        metadata = self._head.get("metadata")
        return metadata.exporter if metadata else None

    @property
    def whole(self) -> bool:
        """All eight keys have passed."""
        return len(self._seen) == len(KEYS)

    def take(self, key: str) -> None:
        """Pass the value of a top-level key.

        Raises:
            MalformedExport, UnsupportedVersion, LimitExceeded: a rule of FORMAT.md is broken.
        """
        try:
            self._take(key)
        except InvalidField as problem:
            raise MalformedExport(shown(problem.message, 400), hint=problem.hint) from problem
        if key in KEYS:
            self._seen.add(key)

    def state(self) -> IncomingState:
        """The whole state.

        Raises:
            MalformedExport: one of the eight keys is missing.
        """
        missing = [key for key in KEYS if key not in self._seen]
        if missing:
            raise MalformedExport(f"not a cluster export: {', '.join(f'`{key}`' for key in missing)} missing")
        head = ExportHead(nodes=tuple(item.node for item in self._nodes), unknown=dict(self.unknown), **self._head)
        return IncomingState(head=head, nodes=tuple(self._nodes), vms=self._vms)

    def _take(self, key: str) -> None:
        if key == "vms":
            with no_collection():
                self._take_vms()
        elif key == "nodes":
            with no_collection():
                self._take_nodes()
        else:
            value, canonical = element(self._cursor)
            self._digests.add(key, canonical)
            if key in _HEAD:
                self._head[key] = _HEAD[key](value, key)
            else:
                self.unknown[key] = value

    def _take_nodes(self) -> None:
        cursor = self._cursor
        ids: set[int] = set()
        digest = ListDigest()
        for position in cursor.items():
            if position >= cursor.limits.nodes:
                raise cursor.over("nodes")
            value, canonical = element(cursor)
            digest.add(canonical)
            node = decode_node(_require(value, NODE_KEYS, f"nodes[{position}]"), f"nodes[{position}]")
            if node.id in ids:
                raise cursor.malformed(f"node {node.id} is there twice")
            ids.add(node.id)
            self._nodes.append(IncomingNode(node, value))
        self._digests.add_digest("nodes", digest.hexdigest())

    def _take_vms(self) -> None:
        cursor = self._cursor
        digests: dict[str, str] = {}
        ids: set[str] = set()
        vms, most, longest = self._vms, cursor.limits.vms, cursor.limits.string_bytes
        for name, value, canonical in members(cursor, strings=_FILE_TEXT, fast=VmWindows().parse):
            if len(vms) >= most:
                raise cursor.over("vms")
            at = f"vms.{name[:80]}"
            if isinstance(value, Vm):
                vm, given = value, None
                check_vm(vm, at)
            else:
                vm, given = decode_vm(value, at), value
            if vm.name != name:
                raise cursor.malformed(f"VM `{vm.name}` stands under the key `{name[:80]}`")
            if vm.id is not None:
                if vm.id in ids:
                    raise cursor.malformed(f"VM `{name}` has the id of another VM, `{vm.id}`")
                ids.add(vm.id)
            if vm.disks or vm.files:
                self._note_images(vm)
            # under the name of the struct: the key is another string with the same characters
            vms[vm.name] = incoming = IncomingVm(vm, given)
            if len(canonical) > longest:
                self._check_strings(incoming.given)
            digests[vm.name] = blake3(canonical).hexdigest()
        self._digests.add_digest("vms", names_digest(digests))

    def _note_images(self, vm: Vm) -> None:
        for item in vm.parts:
            if item.image is UNSET:
                continue
            if item.image in self.named_images:
                other = ".".join(("vms", *self.named_images[item.image]))
                raise InvalidField(f"vms.{vm.name}.{item.name}", f"names image {item.image}, as `{other}` does")
            self.named_images[item.image] = (vm.name, item.name)

    def _check_strings(self, value: JsonObject) -> None:
        """Only the content of a file may be longer than `string_bytes`."""
        files = [{**file, "text": "", "base64": ""} for file in value.get("files", ())]
        waiting: list[Any] = [{**value, "files": files}]
        while waiting:
            item = waiting.pop()
            if isinstance(item, dict):
                waiting += item.values()
                waiting += item.keys()
            elif isinstance(item, list):
                waiting += item
            elif isinstance(item, str) and len(item) > self._cursor.limits.string_bytes:
                raise self._cursor.over("string_bytes")


def supported(version: str) -> bool:
    """Any 1.x is read."""
    return _VERSION_1.fullmatch(version) is not None


def unsupported(version: str, exporter: str | None) -> UnsupportedVersion:
    """The error for a file of another major version."""
    writer = f", written by `{shown(exporter)}`" if exporter else ""
    return UnsupportedVersion(
        f"unsupported export format version `{shown(version, 40)}`{writer}",
        hint="this version reads 1.x: import it with the version that wrote it, or a newer one",
    )


def _string(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise InvalidField(at, "must be a string")
    return value


def _cluster_name(value: Any, at: str) -> str:
    return check_name(_string(value, at), at)


def _node_id(value: Any, at: str) -> int:
    if type(value) is not int or not 0 <= value <= U64_MAX:
        raise InvalidField(at, "must be a node id")
    return value


def _time(value: Any, at: str) -> datetime:
    match = _TIME.fullmatch(_string(value, at))
    if match is None:
        raise InvalidField(at, "must be an RFC 3339 time", hint="for example `2026-07-27T12:00:00Z`")
    day, clock, fraction, sign, hours, minutes = match.groups()
    offset = f"{sign}{hours}:{minutes}" if sign else "+00:00"
    try:
        micros = (fraction or "").ljust(6, "0")[:6]
        return datetime.fromisoformat(f"{day}T{clock}.{micros}{offset}").astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        raise InvalidField(at, "is no time that exists") from problem


def _require(value: Any, keys: tuple[str, ...], at: str) -> JsonObject:
    if not isinstance(value, dict):
        raise InvalidField(at, "must be an object")
    for key in keys:
        if key not in value:
            raise InvalidField(f"{at}.{key}", "is missing")
    return value


def _raft_state(value: Any, at: str) -> RaftState:
    raft = decode_object(value, RaftState, at)
    for member in raft.members:
        _node_id(member, f"{at}.members")
    if raft.leader_id is not None:
        _node_id(raft.leader_id, f"{at}.leader_id")
    return raft


def _metadata(value: Any, at: str) -> ExportMetadata:
    metadata = decode_object(value, ExportMetadata, at)
    unknown = [feature for feature in metadata.requires if feature not in FEATURES]
    if unknown:
        names = ", ".join(f"`{shown(feature, 40)}`" for feature in unknown[:5])
        writer = f"; `{shown(metadata.exporter)}` wrote it" if metadata.exporter else ""
        raise UnsupportedVersion(
            f"the file needs what this version does not know: {names}{writer}",
            hint="import it with the version that wrote it, or a newer one",
        )
    return metadata


_HEAD: dict[str, Callable[[Any, str], Any]] = {
    "version": _string,
    "exported_at": _time,
    "cluster_name": _cluster_name,
    "exported_by_node": _node_id,
    "raft_state": _raft_state,
    "metadata": _metadata,
}
"""How each small section is decoded; the second argument is what errors call it."""
