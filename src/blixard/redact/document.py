"""A document on its way out, masked or not: what `--redact` takes out, and the file that keeps it.

Masking works on JSON objects, because its rules are paths and patterns; the result is decoded again, so that what is
written is as valid as everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from blixard.errors import UsageError
from blixard.model.codec import decode_node, decode_vm, to_object
from blixard.model.structs import ExportHead, JsonObject, Node, Vm
from blixard.redact import mask, parse_paths

Element = tuple[str, JsonObject]
"""A key of `telemetry` and one of its elements."""


class Masked(Struct, frozen=True):
    """A document but for its images, as it will be written; `secrets` by JSON pointer are what was taken out."""

    head: ExportHead
    vms: tuple[Vm, ...]
    telemetry: Iterable[Element]
    secrets: dict[str, Any] = {}

    def secrets_file(self) -> bytes:
        """What `--secrets-out` keeps: JSON, by pointer."""
        return msgspec.json.format(msgspec.json.encode(self.secrets)) + b"\n"


def masked(head: ExportHead, vms: Iterable[Vm], telemetry: Iterable[Element], paths: Iterable[str]) -> Masked:
    """The document with every secret masked, and recorded in `metadata.redacted`.

    Telemetry is held in memory for it: its pointers stand before it in the file. `paths` are the operator's, in
    addition to the published list.

    Raises:
        UsageError: a path that cannot be redacted.
    """
    masking = _Masking(parse_paths(paths))
    nodes = tuple(masking.node(position, node) for position, node in enumerate(head.nodes))
    clean_vms = tuple(masking.vm(vm) for vm in vms)
    clean_telemetry = masking.telemetry(telemetry)
    unknown, in_metadata = masking.unknown(head)
    metadata = structs.replace(head.metadata, redacted=tuple(masking.secrets), unknown=in_metadata or UNSET)
    clean_head = structs.replace(head, nodes=nodes, metadata=metadata, unknown=unknown)
    return Masked(clean_head, clean_vms, clean_telemetry, masking.secrets)


def read_secrets(data: bytes, name: str) -> dict[str, Any]:
    """The secrets that `--secrets-out` kept; `name` is what errors call the file.

    Raises:
        UsageError: it is no such file.
    """
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"`{name}` is not a secrets file", hint="`export --redact --secrets-out FILE` writes one"
        ) from error


class _Masking:
    """Masks the parts of a document one after the other, and keeps what it took out."""

    def __init__(self, paths: tuple[tuple[str, ...], ...]) -> None:
        self._paths = paths
        self.secrets: dict[str, Any] = {}

    def node(self, position: int, node: Node) -> Node:
        given = to_object(node)
        clean = self._clean(given, ("nodes", str(position)))
        return node if clean is given else decode_node(clean, f"nodes[{position}]")

    def vm(self, vm: Vm) -> Vm:
        given = to_object(vm)
        clean = self._clean(given, ("vms", vm.name))
        return vm if clean is given else decode_vm(_with_sizes(clean), f"vms.{vm.name}")

    def unknown(self, head: ExportHead) -> tuple[JsonObject, JsonObject]:
        """Keys that this version does not know, at top level and in `metadata`."""
        inside = {} if isinstance(head.metadata.unknown, UnsetType) else head.metadata.unknown
        return self._clean(head.unknown, ()), self._clean(inside, ("metadata",))

    def telemetry(self, elements: Iterable[Element]) -> list[Element]:
        counts: dict[str, int] = {}
        clean = []
        for key, element in elements:
            position = counts.get(key, 0)
            counts[key] = position + 1
            clean.append((key, self._clean(element, ("telemetry", key, str(position)))))
        return clean

    def _clean(self, given: JsonObject, at: tuple[str, ...]) -> JsonObject:
        redaction = mask(given, at, paths=self._paths)
        self.secrets.update(redaction.secrets)
        clean: JsonObject = redaction.value
        return clean


def _with_sizes(vm: JsonObject) -> JsonObject:
    """A masked inline file has another size than the one it states."""
    files = [{key: value for key, value in file.items() if key != "size_bytes"} for file in vm.get("files", [])]
    return {**vm, "files": files}
