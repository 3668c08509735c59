"""Builders of nodes, VMs, records and whole export documents, small and valid unless told otherwise."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import zstandard
from blake3 import blake3
from msgspec import Struct

from blixard.format.events import DocumentEnd, Event, ImageRead, RecordRead, StateRead, TelemetryRead
from blixard.format.reader import read_export
from blixard.format.records import encode_record, frame
from blixard.format.writer import ExportWriter
from blixard.limits import DEFAULT, Limits
from blixard.model.incoming import IncomingState
from blixard.model.structs import (
    Consistency,
    Disk,
    DiskFormat,
    ExportHead,
    ExportMetadata,
    ImageHead,
    Integrity,
    JsonObject,
    Node,
    RaftState,
    Record,
    Vm,
)

EXPORTED_AT = datetime(2026, 7, 27, 12, 0, 0, tzinfo=UTC)
MIB = 1 << 20


def node(node_id: int = 1, **fields: Any) -> Node:
    """A node; any field can be given."""
    return Node(**{"id": node_id, "data_dir": f"/var/lib/n{node_id}", "bind_addr": f"10.0.0.{node_id}:7001", **fields})


def vm(name: str = "web-1", **fields: Any) -> Vm:
    """A VM without disks; any field can be given."""
    return Vm(**{"name": name, "config_path": f"/etc/vms/{name}.nix", "vcpus": 2, "memory": 512, **fields})


def uuid(number: int) -> str:
    """A valid UUID that is the same for the same number."""
    return f"00000000-0000-4000-8000-{number:012x}"


def typical_vm(number: int) -> Vm:
    """A VM as they come in thousands: about 600 bytes of compact JSON."""
    name = f"web-{number:06d}"
    return vm(
        name,
        id=uuid(number),
        tenant_id="acme",
        ip_address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        node_id=1 + number % 5,
        labels={"env": "prod", "tier": "web"},
        disks=(Disk(name="root", format=DiskFormat.QCOW2, size_bytes=10 << 30, source=f"/srv/{name}.qcow2"),),
    )


def head(**fields: Any) -> ExportHead:
    """The head of a document of one node."""
    return ExportHead(
        **{
            "version": "1.0",
            "exported_at": EXPORTED_AT,
            "cluster_name": "prod",
            "exported_by_node": 1,
            "nodes": (node(),),
            "raft_state": RaftState(term=3, leader_id=1, members=(1,)),
            "metadata": ExportMetadata(exporter="blixard 0.1.0"),
            **fields,
        }
    )


def zstd_frame(data: bytes) -> bytes:
    """One frame as FORMAT.md wants it: content size, no checksum."""
    return zstandard.ZstdCompressor(level=1, write_checksum=False).compress(data)


class Piece(Struct, frozen=True):
    """A record with its frame, to be written."""

    record: Record
    frame: bytes | None


def data(offset: int, content: bytes) -> Piece:
    """A data record."""
    return Piece(Record(offset, len(content), blake3(content).digest(), carries=True), zstd_frame(content))


def pack(content: bytes) -> Piece:
    """A pack: bytes to refer to."""
    return Piece(Record(None, len(content), blake3(content).digest(), carries=True), zstd_frame(content))


def reference(offset: int, target: Piece, *, skip: int = 0, length: int | None = None) -> Piece:
    """A reference to `length` bytes of an earlier data record or pack, from `skip` on."""
    size = target.record.length - skip if length is None else length
    return Piece(Record(offset, size, target.record.digest, carries=False, skip=skip), None)


class Image(Struct, frozen=True, kw_only=True):
    """An image to be written."""

    head: ImageHead
    pieces: Sequence[Piece] = ()
    consistency: Consistency | None = Consistency.STOPPED
    failed: str | None = None


def image(
    vm_name: str = "web-1",
    disk: str = "root",
    pieces: Sequence[Piece] = (),
    *,
    size_bytes: int = 4 * MIB,
    disk_format: DiskFormat = DiskFormat.RAW,
    failed: str | None = None,
) -> Image:
    """An image of one disk; failed when told why."""
    return Image(
        head=ImageHead(vm=vm_name, disk=disk, format=disk_format, size_bytes=size_bytes),
        pieces=pieces,
        consistency=None if failed else Consistency.STOPPED,
        failed=failed,
    )


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def write(
    document_head: ExportHead | None = None,
    vms: Iterable[Vm] = (),
    *,
    images: Iterable[Image] | None = None,
    telemetry: Mapping[str, Sequence[JsonObject]] | None = None,
    compress: bool = False,
    level: int = 1,
    **options: Any,
) -> bytes:
    """A whole document; `options` go to `ExportWriter`."""
    return write_sealed(
        document_head, vms, images=images, telemetry=telemetry, compress=compress, level=level, **options
    )[0]


def write_sealed(
    document_head: ExportHead | None = None,
    vms: Iterable[Vm] = (),
    *,
    images: Iterable[Image] | None = None,
    telemetry: Mapping[str, Sequence[JsonObject]] | None = None,
    compress: bool = False,
    level: int = 1,
    **options: Any,
) -> tuple[bytes, Integrity]:
    """A whole document and what its writer says about its digests."""
    sink = io.BytesIO()
    with ExportWriter(sink, compress=compress, gzip_level=level, **options) as writer:
        writer.write_state(document_head or head(), vms)
        if telemetry is not None:
            writer.begin_telemetry()
            for key, elements in telemetry.items():
                for element in elements:
                    writer.telemetry(key, element)
        if images is not None:
            writer.begin_images()
            for one in images:
                writer.begin_image(one.head)
                for piece in one.pieces:
                    line = encode_record(piece.record, piece.frame, compress=compress, gzip_level=level)
                    writer.write_record(piece.record, piece.frame, line)
                writer.end_image(consistency=one.consistency, failed=one.failed)
        integrity = writer.finish()
    return sink.getvalue(), integrity


def sample(*, compress: bool = False, **options: Any) -> bytes:
    """A small document with everything: two VMs, telemetry, three images with all kinds of record, one failed."""
    first, second = data(0, noise(5000, 1)), data(MIB, b"text " * 2000)
    shared = pack(noise(8192, 2))
    return write(
        head(nodes=(node(1), node(2, name="n2"))),
        [
            vm("db-1", id=uuid(1), disks=(disk("root", image=0), disk("data", image=1))),
            vm("web-1", id=uuid(2), disks=(disk("root", image=2),), labels={"env": "prüf 🎉"}),
        ],
        images=[
            image("db-1", "root", [first, second]),
            image("db-1", "data", [shared, reference(0, first), reference(8192, shared, skip=4096)]),
            image("web-1", "root", [reference(0, second)], failed="`/srv/web-1.raw`: read: input/output error"),
        ],
        telemetry={"resourceMetrics": [{"scopeMetrics": [1.5, 2.0]}], "resourceLogs": [{"a": 1}, {"a": "ü"}]},
        compress=compress,
        **options,
    )


def disk(name: str = "root", **fields: Any) -> Disk:
    """A raw disk of 4 MiB; any field can be given."""
    return Disk(**{"name": name, "size_bytes": 4 * MIB, **fields})


def events(document: bytes, *, limits: Limits = DEFAULT) -> list[Event]:
    """All events of a document."""
    return list(read_export(io.BytesIO(document), limits=limits))


class Outcome(Struct, frozen=True, kw_only=True):
    """A document, read: its events by kind."""

    state: IncomingState
    telemetry: tuple[TelemetryRead, ...]
    records: tuple[RecordRead, ...]
    images: tuple[ImageRead, ...]
    end: DocumentEnd


def read(document: bytes, *, limits: Limits = DEFAULT) -> Outcome:
    """Read a whole document."""
    found = events(document, limits=limits)
    last = found[-1]
    assert isinstance(last, DocumentEnd)
    return Outcome(
        state=next(event.state for event in found if isinstance(event, StateRead)),
        telemetry=tuple(event for event in found if isinstance(event, TelemetryRead)),
        records=tuple(event for event in found if isinstance(event, RecordRead)),
        images=tuple(event for event in found if isinstance(event, ImageRead)),
        end=last,
    )


def contents(outcome: Outcome) -> list[bytes]:
    """The bytes of each image, holes as zeros, references resolved: the slow and obvious way."""
    known: dict[bytes, bytes] = {}
    disks = [bytearray(found.head.size_bytes) for found in outcome.images]
    for read_record in outcome.records:
        record = read_record.record
        if read_record.text is not None:
            whole = zstandard.ZstdDecompressor().decompress(frame(read_record.text))
            assert blake3(whole).digest() == record.digest
            known[record.digest] = whole
        if record.offset is not None:
            piece = known[record.digest][record.skip : record.skip + record.length]
            disks[read_record.image][record.offset : record.offset + record.length] = piece
    return [bytes(content) for content in disks]
