"""A document's state as it was read: each object typed and checked, and beside it the JSON that was given.

A merge must know which keys were there: an absent key leaves ours, null sets it, and a default cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from blixard.model.structs import ExportHead, JsonObject, Node, Vm


class IncomingNode(Struct, frozen=True, gc=False):
    """A node of the document: `node` is `given`, decoded."""

    node: Node
    given: JsonObject


class IncomingVm(Struct, frozen=True, gc=False):
    """A VM of the document: `vm` is `given`, decoded."""

    vm: Vm
    given: JsonObject


class IncomingState(Struct, frozen=True, kw_only=True):
    """Everything in a document but telemetry, images and integrity. `vms` by name."""

    head: ExportHead
    nodes: tuple[IncomingNode, ...]
    vms: Mapping[str, IncomingVm]
