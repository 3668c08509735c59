"""Writes the state of a document: pretty JSON, one VM after the other, digests taken on the way.

Several VMs are indented by one call, which halves its cost; a state of 100,000 is never held as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

import msgspec
from blake3 import blake3
from msgspec import Struct, structs

from blixard.errors import InternalError
from blixard.format.digests import ListDigest, SectionDigests, names_digest
from blixard.format.sink import Sink
from blixard.model.canonical import canonical
from blixard.model.codec import has_free_values, to_object
from blixard.model.structs import ExportHead, Node, Vm

encode = msgspec.json.Encoder(order="deterministic").encode
"""JSON of a struct or value: fields in the model's order, free maps sorted."""

_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_BATCH = 64


def write_state(sink: Sink, digests: SectionDigests, head: ExportHead, vms: Iterable[Vm]) -> None:
    """Write the eight keys, and unknown ones behind them; `metadata`'s counts are filled in when they are None.

    Raises:
        InternalError: VMs do not ascend by name.
    """
    state = _StateText(sink, digests)
    exported_at = head.exported_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    state.value("version", head.version, before=b"{\n  ")
    state.value("exported_at", exported_at)
    state.value("cluster_name", head.cluster_name)
    state.value("exported_by_node", head.exported_by_node)
    state.nodes(head.nodes)
    count = state.vms(vms)
    state.struct("raft_state", head.raft_state)
    metadata = structs.replace(
        head.metadata,
        node_count=len(head.nodes) if head.metadata.node_count is None else head.metadata.node_count,
        vm_count=count if head.metadata.vm_count is None else head.metadata.vm_count,
    )
    state.struct("metadata", metadata)
    for key in sorted(head.unknown):
        state.value(key, head.unknown[key])


def pretty(text: bytes, indented: bytes) -> bytes:
    """JSON with two-space indent; `indented` is the line break and indentation of the line it starts on."""
    return msgspec.json.format(text, indent=2).replace(b"\n", indented)


class _StateText:
    """The sections of the state, one method each kind."""

    def __init__(self, sink: Sink, digests: SectionDigests) -> None:
        self._sink = sink
        self._digests = digests

    def value(self, key: str, value: Any, *, before: bytes = b",\n  ") -> None:
        self._sink.text(before + encode(key) + b": " + pretty(encode(value), b"\n  "))
        self._digests.add(key, canonical(value))

    def struct(self, key: str, value: Struct) -> None:
        text, form = _texts(value)
        self._sink.text(b",\n  " + encode(key) + b": " + pretty(text, b"\n  "))
        self._digests.add(key, form)

    def nodes(self, nodes: tuple[Node, ...]) -> None:
        digest = ListDigest()
        self._sink.text(b',\n  "nodes": [')
        separator = b"\n    "
        for node in sorted(nodes, key=lambda item: item.id):
            text, form = _texts(node)
            digest.add(form)
            self._sink.text(separator + pretty(text, b"\n    "))
            separator = b",\n    "
        self._sink.text(b"\n  ]" if nodes else b"]")
        self._digests.add_digest("nodes", digest.hexdigest())

    def vms(self, vms: Iterable[Vm]) -> int:
        digests: dict[str, str] = {}
        batch: list[bytes] = []
        last, separator = "", b""
        self._sink.text(b',\n  "vms": {')
        for vm in vms:
            if vm.name <= last:
                raise InternalError(f"VM `{vm.name}` was written behind `{last}`")
            last = vm.name
            text, form = _vm_texts(vm)
            digests[last] = blake3(form).hexdigest()
            batch.append(b'"%b":%b' % (last.encode(), text))
            if len(batch) == _BATCH:
                self._vms_text(separator, batch)
                separator = b","
                batch.clear()
        if batch:
            self._vms_text(separator, batch)
        self._sink.text(b"\n  }" if digests else b"}")
        self._digests.add_digest("vms", names_digest(digests))
        return len(digests)

    def _vms_text(self, separator: bytes, batch: list[bytes]) -> None:
        text = pretty(b"{%b}" % b",".join(batch), b"\n  ")
        self._sink.text(separator + text[1 : -len(b"\n  }")])


def _texts(value: Struct) -> tuple[bytes, bytes]:
    """The JSON of a struct as it is written, and its canonical form."""
    text = encode(value)
    # kept unknown keys stand in a field of that name: they must go back where they came from
    if b'"unknown":' not in text:
        return text, canonical(value)
    plain = to_object(value)
    return msgspec.json.encode(plain), canonical(plain)


def _vm_texts(vm: Vm) -> tuple[bytes, bytes]:
    # only free-form values can hold what the sorted encoder prints in another way than RFC 8785
    if not has_free_values(vm):
        text = encode(vm)
        if b'"unknown":' not in text and text.isascii():
            return text, _encode_sorted(vm)
    return _texts(vm)
