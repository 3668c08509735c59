"""What a cluster is made of, as frozen structs.

Field names, order and types are those of FORMAT.md section 2; a key that FORMAT.md does not know is kept in `unknown`
and written back. Every optional field is always written (a merge must be able to bring a value back to its default),
but for those typed `UnsetType`, which the original reader would not accept as null.

Structs with `unknown` forbid unknown fields: only `codec` decodes them from foreign JSON, and it must notice such keys
to put them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

JsonObject = dict[str, Any]

# The constraints live in the types, so that decoding and the published JSON Schema cannot disagree.
# `$(?!\n)`: Python's `$` alone would let a trailing line feed pass.
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$(?!\n)",
        description="never a path: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`",
    ),
]
Uuid = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\n)",
        description="UUID, lower case",
    ),
]
NodeId = Annotated[int, Meta(ge=0, description="u64; we mint none above 2^53-1, which jq 1.6 would round")]
PositiveU32 = Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]
Port = Annotated[int, Meta(ge=0, le=0xFFFF)]
Priority = Annotated[int, Meta(ge=0, le=1000)]
SizeBytes = Annotated[int, Meta(ge=0, description="bytes")]
Count = Annotated[int, Meta(ge=0)]
ImageIndex = Annotated[int, Meta(ge=0, description="index into `images`")]


class DiskFormat(StrEnum):
    """How a disk's content lies in its file."""

    RAW = "raw"
    QCOW2 = "qcow2"

    @property
    def has_backing(self) -> bool:
        """True when an image of this format may stand on backing files."""
        return self is DiskFormat.QCOW2


class DesiredState(StrEnum):
    """What the operator wants of a VM."""

    RUNNING = "running"
    STOPPED = "stopped"


class FileRole(StrEnum):
    """What a VM's file is for."""

    CONFIG = "config"
    KERNEL = "kernel"
    INITRD = "initrd"
    NVRAM = "nvram"
    SEED = "seed"


class Consistency(StrEnum):
    """How consistent a disk's content is, best first."""

    STOPPED = "stopped"
    FILESYSTEM = "filesystem"
    CRASH = "crash"
    UNKNOWN = "unknown"


class NodeState(StrEnum):
    """A node's record: living here, or known from a file only."""

    ACTIVE = "active"
    ABSENT = "absent"


class Hold(StrEnum):
    """Why a VM may not start."""

    IMPORTED = "imported"
    """It came from another cluster, whose original may still run."""
    PARKED = "parked"
    """The import that made its cluster was undone."""


class Topology(Struct, frozen=True, kw_only=True, gc=False):
    """Where a node stands."""

    datacenter: str = "default-dc"
    zone: str = "default-zone"
    rack: str = "default-rack"


class Capacity(Struct, frozen=True, kw_only=True, gc=False):
    """What a node has; `memory` in MB (10^6 is the original's unit for VMs), `disk_bytes` in bytes."""

    vcpus: PositiveU32 | None = None
    memory: Count | None = None
    disk_bytes: SizeBytes | None = None


DEFAULT_ADDRESS = "0.0.0.0:7001"
"""The original's default: written for its reader, nothing listens there yet."""
DEFAULT_BUS = "virtio"
DEFAULT_VCPUS = 1
DEFAULT_MEMORY = 1024
"""MB, of a VM that is made here: a document must say both."""

DEFAULT_BACKEND = "qemu"
"""What runs the VMs of a node."""


class Node(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One host of the cluster."""

    id: NodeId
    data_dir: str
    bind_addr: str = DEFAULT_ADDRESS
    """The original's last public version left it out when it had none; ours always writes it."""
    use_tailscale: bool = False
    vm_backend: str = DEFAULT_BACKEND
    join_addr: str | None = None
    transport_config: JsonObject | None = None
    topology: Topology | UnsetType = UNSET
    iroh_relay_url: str | UnsetType = UNSET
    metrics_port: Port | UnsetType = UNSET
    name: Name | None = None
    endpoint_id: str | None = None
    labels: dict[str, str] = {}
    capacity: Capacity | None = None
    state: NodeState = NodeState.ACTIVE
    unknown: JsonObject | UnsetType = UNSET


class Origin(Struct, frozen=True, kw_only=True, gc=False):
    """The cluster and VM that a VM was copied from: a second import finds its copy by it."""

    cluster_id: Uuid
    vm_id: Uuid


class Disk(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A VM's disk; `size_bytes` is what the guest sees. `image` is set only in a document that holds the content."""

    name: Name
    format: DiskFormat = DiskFormat.RAW
    size_bytes: SizeBytes
    bus: str = DEFAULT_BUS
    boot_index: int | None = None
    read_only: bool = False
    source: str | UnsetType | None = None
    image: ImageIndex | UnsetType = UNSET
    unknown: JsonObject | UnsetType = UNSET

    @property
    def kind(self) -> ContentKind:
        """Which kind of content it has."""
        return ContentKind.DISK

    @property
    def inline(self) -> bool:
        """False: the bytes of a disk are never in the struct."""
        return False


class File(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A VM's file: up to 1 MiB in `text` (UTF-8) or `base64`; a larger one is content, `image` in a document."""

    role: FileRole
    name: Name
    size_bytes: SizeBytes | UnsetType = UNSET
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET
    image: ImageIndex | UnsetType = UNSET
    unknown: JsonObject | UnsetType = UNSET

    @property
    def kind(self) -> ContentKind:
        """Which kind of content it has, unless it is inline."""
        return ContentKind.FILE

    @property
    def inline(self) -> bool:
        """True when the bytes are in the struct itself."""
        return self.text is not UNSET or self.base64 is not UNSET


class Network(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A VM's network interface: `name` inside the VM, `network` or host `bridge` that it joins."""

    name: Name
    network: str | None = None
    bridge: str | None = None
    mac: str | None = None
    ip: str | None = None
    unknown: JsonObject | UnsetType = UNSET


class Vm(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One virtual machine. `memory` in MB. `anti_affinity`, `health_check_config` and `boot` are kept as they are."""

    name: Name
    config_path: str
    vcpus: PositiveU32
    memory: PositiveU32
    tenant_id: str = "default"
    ip_address: str | None = None
    metadata: dict[str, str] | None = None
    anti_affinity: JsonObject | None = None
    priority: Priority = 500
    preemptible: bool = True
    locality_preference: JsonObject | UnsetType = UNSET
    health_check_config: JsonObject | None = None
    id: Uuid | None = None
    """UUID; None only in a file of the original Blixard. Inside a cluster it is always set."""
    origin: Origin | None = None
    node_id: NodeId | None = None
    desired_state: DesiredState = DesiredState.STOPPED
    hold: Hold | None = None
    untrusted: tuple[str, ...] = ()
    """JSON pointers into this VM that came from another cluster's file and are inert until `vm trust`."""
    labels: dict[str, str] = {}
    disks: tuple[Disk, ...] = ()
    files: tuple[File, ...] = ()
    networks: tuple[Network, ...] = ()
    boot: JsonObject | None = None
    unknown: JsonObject | UnsetType = UNSET

    @property
    def parts(self) -> tuple[Disk | File, ...]:
        """Disks, then files: all that may have content."""
        return (*self.disks, *self.files)

    def key_of(self, part: Disk | File) -> ContentKey:
        """Under which key the content of a disk or file of this VM is kept."""
        return ContentKey(self.id or "", part.kind, part.name)


class RaftState(Struct, frozen=True, kw_only=True):
    """Facts about the agreed state, for reference only: never applied by an import."""

    term: Count = 0
    leader_id: NodeId | None = None
    members: tuple[NodeId, ...] = ()
    engine: str | None = None
    index: Count | None = None
    cluster_id: str | None = None
    member_names: tuple[str, ...] = ()


class ContentKind(StrEnum):
    """What a content is of: a VM owns those of its disks and of its large files."""

    DISK = "disk"
    FILE = "file"


class ContentKey(Struct, frozen=True, order=True, array_like=True, gc=False):
    """Names the content of a disk or file: VM id, kind, and the name of the disk or file."""

    vm_id: str
    kind: ContentKind
    name: str


class Content(Struct, frozen=True, kw_only=True, gc=False):
    """Where content lies on this node. Exactly one of the two is set; content that is absent has no entry.

    `file`: a name under the cluster's `disks/`, ours to delete. `path`: kept in place, never written, moved or deleted.
    """

    file: str | None = None
    path: str | None = None
    size_bytes: int
    format: DiskFormat = DiskFormat.RAW
    backing: str | None = None
    """Folder beneath which its backing files may lie, as the operator said when it was attached; None: it has none."""
    digest: str | None = None
    """Of the image it was imported from, hex; counts only while `stamp` is what the file still has."""
    stamp: str | None = None
    """Inode, size and time of modification when the digest was right."""


class Kept(Struct, frozen=True, kw_only=True):
    """Keys of a document's top level and of its `metadata` that this version does not know, for one that does."""

    document: JsonObject = {}
    metadata: JsonObject = {}


class Provenance(Struct, frozen=True, kw_only=True):
    """Where a cluster's state came from: the last import."""

    cluster_id: str | None = None
    cluster_name: str
    exported_at: datetime
    document: str | None = None
    imported_at: datetime
    mode: str
    edited: tuple[str, ...] = ()
    partial: bool = False
    """Disks or files of the document were damaged or not in it, and left out."""
    kept: Kept | UnsetType = UNSET


EMPTY: Mapping[Any, Any] = MappingProxyType({})


class ClusterSnapshot(Struct, frozen=True, kw_only=True):
    """The whole state at one revision. `vms` by name, `nodes` by id; `contents` only of this node."""

    id: str
    name: str
    revision: int
    nodes: Mapping[int, Node] = EMPTY
    vms: Mapping[str, Vm] = EMPTY
    contents: Mapping[ContentKey, Content] = EMPTY
    provenance: Provenance | None = None
    self_node: int = 1
    """Id of the node that this data directory is."""

    def vm_by_id(self) -> dict[str, Vm]:
        """VMs keyed by id."""
        return {vm.id: vm for vm in self.vms.values() if vm.id is not None}


class RecordKind(StrEnum):
    """The three kinds of record of FORMAT.md section 3."""

    DATA = "data"
    PACK = "pack"
    REFERENCE = "reference"


class Record(Struct, frozen=True):
    """One record without its bytes. `digest` is 32 raw bytes of BLAKE3; for a reference, of the record it names.

    `offset` None is a pack. `carries` is true when a zstd frame stands in the document.
    """

    offset: int | None
    length: int
    digest: bytes
    carries: bool
    skip: int = 0

    @property
    def kind(self) -> RecordKind:
        """Data, pack or reference."""
        if self.offset is None:
            return RecordKind.PACK
        return RecordKind.DATA if self.carries else RecordKind.REFERENCE


class ImageHead(Struct, frozen=True, kw_only=True):
    """The keys of an image that stand before its records."""

    vm: str
    disk: str
    format: DiskFormat
    size_bytes: int


class ImageTail(Struct, frozen=True, kw_only=True):
    """What is known after an image's records: either `consistency`, or why it `failed`; `digest` is hex."""

    data_bytes: int
    consistency: Consistency | None = None
    failed: str | None = None
    digest: str


class Integrity(Struct, frozen=True, kw_only=True):
    """The `integrity` section of a document (FORMAT.md section 4); digests in hex."""

    algorithm: str = "blake3"
    sections: dict[str, str]
    images: tuple[str, ...] | UnsetType = UNSET
    document: str


class ExportMetadata(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `metadata` section of a document."""

    node_count: int | None = None
    vm_count: int | None = None
    telemetry_included: bool = False
    images_included: bool = False
    exporter: str | None = None
    cluster_id: str | None = None
    revision: int | None = None
    provenance: JsonObject | None = None
    scope: JsonObject | None = None
    redacted: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    template: JsonObject | None = None
    unknown: JsonObject | UnsetType = UNSET


class ExportHead(Struct, frozen=True, kw_only=True):
    """All of a document but its VMs, telemetry, images and integrity."""

    version: str
    exported_at: datetime
    cluster_name: str
    exported_by_node: int
    nodes: tuple[Node, ...]
    raft_state: RaftState
    metadata: ExportMetadata
    unknown: JsonObject = msgspec.field(default_factory=dict)
    """Unknown top-level keys, kept and written back."""
