"""Values put into a document by JSON pointer, on copies of only those objects that a pointer names.

An import takes a cluster's name, nodes and VMs from a document; a pointer to anything else would be forgotten silently,
so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from msgspec import UnsetType

from blixard.errors import UsageError
from blixard.model.codec import decode_node
from blixard.model.incoming import IncomingNode, IncomingVm
from blixard.model.pointer import Tokens, find, parse, put
from blixard.model.structs import JsonObject, Node

_DECIDED = {
    "name": "use `--rename vm:OLD=NEW`",
    "id": "use `--new-identity`",
    "origin": "it tells which VM this one was copied from",
    "hold": "use `--start`",
    "untrusted": "use `vm trust` or `--trust-host-paths`",
}


class Edits:
    """What was put so far: `vms` by name and `nodes` by index hold the changed copies, `places` every pointer."""

    def __init__(self, vms: Mapping[str, IncomingVm], nodes: Sequence[IncomingNode], cluster_name: str) -> None:
        self._vms = vms
        self._nodes = nodes
        self.cluster_name = cluster_name
        self.vms: dict[str, JsonObject] = {}
        self.nodes: dict[int, JsonObject] = {}
        self.places: list[Tokens] = []

    def put(self, pointer: str, value: Any, *, existing: bool = False) -> None:
        """Set the value at a pointer; with `existing` only where a value stands already.

        Raises:
            UsageError: naming the pointer, and what is wrong with it.
        """
        tokens = parse(pointer)
        if tokens == ("cluster_name",):
            self._put_name(pointer, value)
        else:
            copy = self._copy(pointer, tokens)
            if existing and isinstance(find(copy, tokens[2:]), UnsetType):
                raise UsageError(f"`{pointer}`: there is nothing at this place of the document")
            if not put(copy, tokens[2:], deepcopy(value)):
                raise UsageError(f"`{pointer}`: the document has no object or array there to put a value into")
        self.places.append(tokens)

    def node(self, index: int) -> Node:
        """A changed node, decoded.

        Raises:
            InvalidField: a value breaks its field's rule.
        """
        return decode_node(self.nodes[index], f"nodes[{index}]")

    def _put_name(self, pointer: str, value: Any) -> None:
        if not isinstance(value, str):
            raise UsageError(f"`{pointer}`: a name is a string")
        self.cluster_name = value

    def _copy(self, pointer: str, tokens: Tokens) -> JsonObject:
        kind = tokens[0] if tokens else ""
        if kind not in ("vms", "nodes") or len(tokens) < 3:
            raise UsageError(
                f"`{pointer}`: an import takes nothing from this place",
                hint="a pointer goes to `/cluster_name` or into `/vms/NAME/...` or `/nodes/INDEX/...`",
            )
        if kind == "vms":
            return self._copy_vm(pointer, tokens)
        return self._copy_node(pointer, tokens)

    def _copy_vm(self, pointer: str, tokens: Tokens) -> JsonObject:
        name, field = tokens[1], tokens[2]
        if name not in self._vms:
            raise UsageError(f"`{pointer}`: no VM is called `{name}`", hint=_nearest(name, self._vms))
        if field in _DECIDED:
            raise UsageError(f"`{pointer}`: `{field}` is not set by place", hint=_DECIDED[field])
        return self.vms.setdefault(name, deepcopy(self._vms[name].given))

    def _copy_node(self, pointer: str, tokens: Tokens) -> JsonObject:
        if not tokens[1].isdecimal() or int(tokens[1]) >= len(self._nodes):
            raise UsageError(f"`{pointer}`: the document has {len(self._nodes)} nodes, counted from 0")
        if tokens[2] in ("id", "state"):
            raise UsageError(f"`{pointer}`: `{tokens[2]}` is not set by place")
        index = int(tokens[1])
        return self.nodes.setdefault(index, deepcopy(self._nodes[index].given))


def _nearest(name: str, names: Iterable[str]) -> str | None:
    shown = sorted(each for each in names if name.lower() in each.lower() or each.lower() in name.lower())[:3]
    return f"there is {', '.join(f'`{each}`' for each in shown)}" if shown else None
