"""JSON Schema (2020-12) of the export document, made from the structs that the reader decodes into.

So the published schema cannot say something else than the code. `python -m blixard.format.schema` prints it; a test
holds docs/reference/export.schema.json against it. It says less than FORMAT.md: nothing that depends on other parts of
a document.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
from msgspec import Struct

from blixard.format.layout import Index
from blixard.format.seal import Claim
from blixard.format.state import KEYS, NODE_KEYS
from blixard.limits import DEFAULT
from blixard.model.codec import U64_MAX
from blixard.model.structs import ExportMetadata, ImageHead, ImageTail, JsonObject, Node, RaftState, Vm

_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_HEX = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_NODE_ID = {"type": "integer", "minimum": 0, "maximum": U64_MAX}


def export_schema() -> JsonObject:
    """The schema of a whole document."""
    roots: tuple[type[Struct], ...] = (Node, Vm, RaftState, ExportMetadata, ImageHead, ImageTail, Claim, Index)
    _, parts = msgspec.json.schema_components(roots, ref_template="#/$defs/{name}")
    defs: dict[str, Any] = {name: _open(part) for name, part in parts.items()}
    defs["Node"]["required"] = list(NODE_KEYS)
    defs["Image"] = _image(defs.pop("ImageHead"), defs.pop("ImageTail"))
    defs["Record"] = _record()
    defs["Integrity"] = _integrity(defs.pop("Claim"))
    return {
        "$schema": _SCHEMA,
        "title": "Blixard cluster export, version 1.x",
        "description": "docs/reference/format.md says what each key means. Keys that are not named here are kept.",
        "type": "object",
        "properties": _sections(),
        "required": list(KEYS),
        "$defs": dict(sorted(defs.items())),
    }


def _sections() -> JsonObject:
    return {
        "version": {"type": "string", "pattern": r"^1\.[0-9]{1,9}$"},
        "exported_at": {"type": "string", "format": "date-time"},
        "cluster_name": _name(),
        "exported_by_node": _NODE_ID,
        "nodes": {"type": "array", "items": _ref("Node"), "maxItems": DEFAULT.nodes},
        "vms": {
            "type": "object",
            "propertyNames": _name(),
            "additionalProperties": _ref("Vm"),
            "maxProperties": DEFAULT.vms,
        },
        "raft_state": _ref("RaftState"),
        "metadata": _ref("ExportMetadata"),
        "telemetry": {
            "type": "object",
            "description": "OTLP/JSON",
            "additionalProperties": {"type": "array", "items": {"type": "object"}},
        },
        "images": {"type": "array", "items": _ref("Image"), "maxItems": DEFAULT.images},
        "integrity": _ref("Integrity"),
        "record_tables": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        },
        "index": _ref("Index"),
    }


def _name() -> JsonObject:
    return msgspec.json.schema(Vm)["$defs"]["Vm"]["properties"]["name"]  # type: ignore[no-any-return]


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/$defs/{name}"}


def _open(part: JsonObject) -> JsonObject:
    """What has a field `unknown` takes any key: it is where such keys are kept, no key of the file."""
    properties = part.get("properties", {})
    if "unknown" not in properties:
        return part
    kept = {key: value for key, value in part.items() if key != "additionalProperties"}
    return {**kept, "properties": {key: value for key, value in properties.items() if key != "unknown"}}


def _image(head: JsonObject, tail: JsonObject) -> JsonObject:
    properties = {**head["properties"], "records": {"type": "array", "items": _ref("Record")}, **tail["properties"]}
    return {
        "title": "Image",
        "description": "The content of one disk or large file, as the guest sees it.",
        "type": "object",
        "properties": {**properties, "digest": _HEX, "size_bytes": {"type": "integer", "minimum": 0}},
        "required": [*head["required"], "records", "data_bytes", "digest"],
        "oneOf": [{"required": ["consistency"]}, {"required": ["failed"]}],
        "additionalProperties": False,
    }


def _record() -> JsonObject:
    offset = {"type": "integer", "minimum": 0, "description": "bytes, guest view"}
    length = {"type": "integer", "minimum": 1, "maximum": DEFAULT.record_bytes}
    zstd = {"type": "string", "contentEncoding": "base64", "description": "one zstd frame"}
    skip = {"type": "integer", "minimum": 0, "description": "bytes of the named record to pass"}

    def kind(title: str, required: list[str], **properties: JsonObject) -> JsonObject:
        whole = {**properties, "length": length, "blake3": _HEX}
        keys = [*required, "length", "blake3"]
        return {"title": title, "type": "object", "properties": whole, "required": keys, "additionalProperties": False}

    return {
        "oneOf": [
            kind("Data", ["offset", "zstd"], offset=offset, zstd=zstd),
            kind("Pack", ["zstd"], zstd=zstd),
            kind("Reference", ["offset"], offset=offset, skip=skip),
        ]
    }


def _integrity(claim: JsonObject) -> JsonObject:
    return {
        **claim,
        "title": "Integrity",
        "description": "BLAKE3 digests of canonical forms, in hex.",
        "properties": {**claim["properties"], "algorithm": {"const": "blake3"}, "signature": {}},
        "additionalProperties": False,
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(export_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
