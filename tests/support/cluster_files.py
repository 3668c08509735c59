"""Export files as operators have them: whole, damaged, re-formatted, edited; and what each disk should hold."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blixard.format.index import open_fast
from blixard.model.structs import ExportMetadata, File, FileRole, Integrity, JsonObject
from support import documents
from support.documents import MIB, data, disk, head, image, node, noise, pack, reference, uuid, vm
from support.inputs import BytesInput

FIRST, SECOND, THIRD = data(0, noise(70_000, 1)), data(MIB, b"text " * 20_000), data(2 * MIB, noise(9000, 3))
SHARED = pack(noise(8192, 2))
KERNEL = data(0, noise(5000, 4))

VMS = ("cfg", "db-1", "web-1")


def cluster_document(*, compress: bool = False, failed: str | None = None, **options: Any) -> bytes:
    """A document of three VMs: packs, `skip`, references across disks, telemetry, an inline file and a large one.

    With `failed` the disk of `web-1` could not be read by the export.
    """
    return cluster_document_sealed(compress=compress, failed=failed, **options)[0]


def cluster_document_sealed(
    *, compress: bool = False, failed: str | None = None, **options: Any
) -> tuple[bytes, Integrity]:
    """The same, and what its writer says about its digests."""
    metadata = ExportMetadata(exporter="blixard 0.1.0", telemetry_included=True, images_included=True, revision=4)
    return documents.write_sealed(
        head(nodes=(node(1), node(2, name="n2")), metadata=metadata),
        [
            vm("cfg", id=uuid(3), files=(config_file(), File(role=FileRole.KERNEL, name="vmlinuz", image=3))),
            vm("db-1", id=uuid(1), disks=(disk("root", image=0), disk("data", image=1))),
            vm("web-1", id=uuid(2), disks=(disk("root", image=2),), labels={"env": "prüf 🎉"}),
        ],
        images=[
            image("db-1", "root", [FIRST, SECOND]),
            image("db-1", "data", [SHARED, reference(0, FIRST), reference(MIB, SHARED, skip=4096)]),
            image("web-1", "root", [reference(0, SECOND), THIRD], failed=failed),
            image("cfg", "vmlinuz", [KERNEL], size_bytes=5000),
        ],
        telemetry={"resourceMetrics": [{"scopeMetrics": [1.5]}], "resourceLogs": [{"a": 1}, {"a": "ü"}]},
        compress=compress,
        **options,
    )


def config_file() -> File:
    """A small file that stands in its VM."""
    return File(role=FileRole.CONFIG, name="config.nix", text="{ cfg = true; }\n")


def disk_contents(document: bytes) -> dict[str, bytes]:
    """What each disk and large file holds, by `VM/NAME`."""
    outcome = documents.read(document)
    names = [f"{found.head.vm}/{found.head.disk}" for found in outcome.images]
    return dict(zip(names, documents.contents(outcome), strict=True))


def put(folder: Path, document: bytes, name: str = "cluster.json") -> str:
    """The path of a file with that content."""
    path = folder / name
    path.write_bytes(document)
    return str(path)


def record_place(document: bytes, image_number: int, position: int) -> tuple[int, int]:
    """Where a record is stored: first byte, and first byte behind."""
    view = open_fast(BytesInput(document))
    assert view is not None
    with view:
        return view.place(image_number, position)


def with_damaged_record(document: bytes, image_number: int, position: int) -> bytes:
    """One character in the middle of a record changed: in plain JSON still JSON, in gzip a member that is damaged."""
    begin, end = record_place(document, image_number, position)
    at = begin + (end - begin) // 2
    changed = bytearray(document)
    changed[at] = ord("A") if changed[at] != ord("A") else ord("B")
    return bytes(changed)


def edited(document: bytes, change: Callable[[JsonObject], object]) -> bytes:
    """Opened, changed and saved in an editor that lays it out anew; gzip stays gzip."""
    compressed = document.startswith(b"\x1f\x8b")
    loaded = json.loads(gzip.decompress(document) if compressed else document)
    change(loaded)
    text = (json.dumps(loaded, indent=2, ensure_ascii=False) + "\n").encode()
    return gzip.compress(text) if compressed else text


def nothing(_document: JsonObject) -> None:
    """The change that changes nothing: laid out anew only."""


def sorted_by_key(document: bytes) -> bytes:
    """As `jq -S` lays it out: images come before the state."""
    return (json.dumps(json.loads(document), indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
