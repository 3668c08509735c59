"""What an inspection tells: of the document, of each VM, of each image, and in sum.

Sizes are bytes. What is not known without reading the disks is None, and never a guess.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from blixard.model.structs import Consistency, DiskFormat, JsonObject
from blixard.redact import Finding


class VmRow(Struct, frozen=True, kw_only=True):
    """One VM. Bytes of content are of what is in the file; None where there is none."""

    name: str
    id: str | None
    desired_state: str
    node_id: int | None
    disks: int
    files: int
    virtual_bytes: int
    contents: int
    """Disks and files whose content is in the file."""
    data_bytes: int | None
    stored_bytes: int | None
    """In the file; a VM that shares its data with one before it has little. None where the file was streamed."""
    consistency: Consistency | None
    """Of the worst of its disks."""
    failed: tuple[str, ...]
    """Contents that the export could not read, and why."""


class InspectedImage(Struct, frozen=True, kw_only=True):
    """One image."""

    image: int
    vm: str
    name: str
    named: bool
    """A VM names it."""
    format: DiskFormat
    size_bytes: int
    data_bytes: int
    records: int
    stored_bytes: int | None
    consistency: Consistency | None
    failed: str | None
    digest: str


class Sizes(Struct, frozen=True, kw_only=True):
    """What the disks amount to. `unique_bytes` and `frame_bytes` are known where every record was read."""

    file_bytes: int | None
    virtual_bytes: int
    data_bytes: int
    unique_bytes: int | None
    """Of `data_bytes`, without what refers to other records."""
    frame_bytes: int | None
    """`unique_bytes`, compressed, before base64 and gzip."""

    @property
    def ratio(self) -> float | None:
        """Bytes of data for each byte of file."""
        return _ratio(self.data_bytes, self.file_bytes)

    @property
    def dedup_ratio(self) -> float | None:
        """Bytes of data for each byte that had to be kept."""
        return _ratio(self.data_bytes, self.unique_bytes)

    @property
    def compression_ratio(self) -> float | None:
        """Bytes kept for each byte that compression left of them."""
        return _ratio(self.unique_bytes, self.frame_bytes)


class InspectReport(Struct, frozen=True, kw_only=True):
    """What is inside. `edited` are sections that are not what `integrity` says, as far as they were read."""

    place: str
    quick: bool
    compressed: bool
    version: str
    exported_at: datetime
    exporter: str | None
    cluster_name: str
    cluster_id: str | None
    exported_by_node: int
    revision: int | None
    provenance: JsonObject | None
    scope: JsonObject | None
    template: dict[str, JsonObject] | None
    """Variables, when it is a template."""
    redacted: tuple[str, ...]
    sealed: bool
    document: str
    edited: tuple[str, ...]
    nodes: int
    vms: tuple[VmRow, ...]
    images: tuple[InspectedImage, ...]
    images_included: bool
    sizes: Sizes
    ratio: float | None
    dedup_ratio: float | None
    compression_ratio: float | None
    telemetry: dict[str, int] | None
    telemetry_stored_bytes: int | None
    unknown: tuple[str, ...]
    """Keys that this version does not know, as JSON pointers; kept on import."""
    unknown_count: int
    secrets: tuple[Finding, ...] | None = None
    """None when they were not asked for."""


def _ratio(one: int | None, other: int | None) -> float | None:
    return round(one / other, 2) if one and other else None
