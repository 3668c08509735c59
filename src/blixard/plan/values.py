"""What a plan is made of: one value for every object that changes, stays or stands in the way.

Plain frozen structs of JSON values: the same plan is printed, saved, compared and applied.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from blixard.model.structs import Content, ContentKey, DiskFormat, Kept, Node, Provenance, Vm
from blixard.plan.options import Mode


class Action(StrEnum):
    """What happens to an object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    CONFLICT = "conflict"


class FieldChange(Struct, frozen=True, gc=False):
    """One field that differs, as a JSON pointer into its object; a side that has no such field is UNSET."""

    pointer: str
    before: Any = UNSET
    after: Any = UNSET


class NodeChange(Struct, frozen=True, kw_only=True, tag_field="object", tag="node", omit_defaults=True, gc=False):
    """What happens to a node. `before` and `after` are None where there is none, and for a node that stays."""

    kind: Action
    name: str
    id: int
    before: Node | None = None
    after: Node | None = None
    fields: tuple[FieldChange, ...] = ()
    notes: tuple[str, ...] = ()


class VmChange(Struct, frozen=True, kw_only=True, tag_field="object", tag="vm", omit_defaults=True, gc=False):
    """What happens to a VM. `before` and `after` are None where there is none, and for a VM that stays.

    `name` is the name in the target, after the change (before it, when the VM is deleted).
    """

    kind: Action
    name: str
    id: str
    before: Vm | None = None
    after: Vm | None = None
    fields: tuple[FieldChange, ...] = ()
    notes: tuple[str, ...] = ()


class ContentAction(StrEnum):
    """What happens to the content of a disk or a large file."""

    STAGE = "stage"
    """Comes from an image of the document."""
    KEEP = "keep"
    """Is there and stays."""
    ABSENT = "absent"
    """Is not there, and its VM cannot start without it."""
    DROP = "drop"
    """Goes with its VM or disk; an undo entry keeps it."""
    RESTORE = "restore"
    """Comes back from an undo entry."""


REPLACING = (ContentAction.STAGE, ContentAction.DROP, ContentAction.RESTORE)
"""What takes away the content that is there."""


class ContentChange(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What happens to one content. `size_bytes` is the guest's view; `image` an index into the document's images."""

    key: ContentKey
    vm: str
    action: ContentAction
    image: int | None = None
    format: DiskFormat | None = None
    size_bytes: int | None = None
    before: Content | None = None
    after: Content | None = None
    """Only of RESTORE: what a STAGE puts there is known when it is staged."""
    note: str = ""


class Target(Struct, frozen=True, kw_only=True):
    """The cluster that an import goes into."""

    id: str
    name: str
    new: bool = False


class PlanSource(Struct, frozen=True, kw_only=True):
    """The document that a plan takes its state from. `document` is its digest; `edited` its changed sections."""

    cluster_id: str | None
    cluster_name: str
    exported_at: datetime
    document: str | None = None
    edited: tuple[str, ...] = ()
    revision: int | None = None
    kept: Kept = Kept()
    """Keys of it that this version does not know."""


class Move(Struct, frozen=True, gc=False):
    """A VM that is placed on another node than the file says (or than it was on)."""

    vm: str
    before: int | None
    after: int

    def text(self) -> str:
        """As people read it: `node 2 -> 1`."""
        return f"node {self.before if self.before is not None else '-'} -> {self.after}"


class Inert(Struct, frozen=True, gc=False):
    """Fields of a VM that came from another cluster and do nothing until it is trusted (JSON pointers into the VM)."""

    vm: str
    pointers: tuple[str, ...]


class Collision(Struct, frozen=True, gc=False):
    """An address or id that is in use already. `kind` is mac, ip or uuid; `users` are VMs (`CLUSTER/VM` elsewhere)."""

    kind: str
    value: str
    vm: str
    users: tuple[str, ...]


def kept_of(provenance: Provenance | None) -> Kept:
    """What a cluster keeps of the documents that made it."""
    kept = UNSET if provenance is None else provenance.kept
    return Kept() if isinstance(kept, UnsetType) else kept


class ImportPlan(Struct, frozen=True, kw_only=True):
    """Everything that an import would do, and nothing that it would not.

    `nodes` and `vms` hold every object of both sides, those that stay included; `contents` only what an operator may
    want to know of.
    """

    target: Target
    source: PlanSource
    mode: Mode
    same_cluster: bool
    """The file was exported by this very cluster, by id."""
    base_revision: int
    self_node: int
    self_node_before: int
    provenance_before: Provenance | None = None
    nodes: tuple[NodeChange, ...] = ()
    vms: tuple[VmChange, ...] = ()
    contents: tuple[ContentChange, ...] = ()
    held: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    untrusted: tuple[Inert, ...] = ()
    moves: tuple[Move, ...] = ()
    collisions: tuple[Collision, ...] = ()
    missing_nodes: tuple[int, ...] = ()
    """Nodes that the file's VMs are placed on and that are not here."""
    missing_networks: tuple[str, ...] = ()
    left_out_nodes: tuple[int, ...] = ()
    partial: bool = False
    """A merge, or an import of a part: what the document does not say stays."""
    failed_images: dict[int, str] = {}
    warnings: tuple[str, ...] = ()

    @property
    def conflicts(self) -> tuple[VmChange, ...]:
        """What stands in the way; a plan with one cannot be applied."""
        return tuple(change for change in self.vms if change.kind is Action.CONFLICT)

    @property
    def kept(self) -> Kept:
        """Keys that this version does not know, as the cluster will keep them."""
        before, given = kept_of(self.provenance_before), self.source.kept
        if not self.partial:
            return given
        return Kept(document={**before.document, **given.document}, metadata={**before.metadata, **given.metadata})

    @property
    def is_empty(self) -> bool:
        """True when applying it would change nothing."""
        if self.target.new or self.self_node != self.self_node_before or self.kept != kept_of(self.provenance_before):
            return False
        if any(change.kind is not Action.KEEP for changes in (self.nodes, self.vms) for change in changes):
            return False
        return not any(change.action in (ContentAction.STAGE, ContentAction.DROP) for change in self.contents)

    def images(self) -> dict[int, ContentKey]:
        """The images of the document that have to be staged, and whose content each becomes."""
        return {
            change.image: change.key
            for change in self.contents
            if change.action is ContentAction.STAGE and change.image is not None
        }

    def absent(self) -> tuple[ContentChange, ...]:
        """Contents that will not be there, so that their VMs cannot start."""
        return tuple(change for change in self.contents if change.action is ContentAction.ABSENT)
