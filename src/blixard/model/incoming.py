"""A document's state as it was read: each object typed and checked, and beside it the JSON that was given.

A merge must know which keys were there: an absent key leaves ours, null sets it, and a default cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, Struct

from blixard.model.codec import to_object
from blixard.model.structs import ExportHead, JsonObject, Node, Vm


class IncomingNode(Struct, frozen=True, gc=False):
    """A node of the document: `node` is `given`, decoded."""

    node: Node
    given: JsonObject


class IncomingVm(Struct, frozen=True, gc=False):
    """A VM of the document. `as_given` is its JSON; None when that is just what `vm` is written as."""

    vm: Vm
    as_given: JsonObject | None = None

    @property
    def given(self) -> JsonObject:
        """The JSON that `vm` was decoded from; not to be changed."""
        return to_object(self.vm) if self.as_given is None else self.as_given

    def gives(self, field: str) -> bool:
        """True when the document has this field, be it null."""
        if self.as_given is None:
            return getattr(self.vm, field) is not UNSET
        return field in self.as_given


class IncomingState(Struct, frozen=True, kw_only=True):
    """Everything in a document but telemetry, images and integrity. `vms` by name."""

    head: ExportHead
    nodes: tuple[IncomingNode, ...]
    vms: Mapping[str, IncomingVm]
