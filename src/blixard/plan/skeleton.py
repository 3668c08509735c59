"""The skeleton of a rules file: every name of a document that does not exist here, ready to be filled in.

Written as TOML text by hand: the standard library only reads it, and comments are the point of a skeleton.
"""

from __future__ import annotations

from collections.abc import Iterable

from blixard.plan.values import ImportPlan

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def rules_skeleton(plan: ImportPlan) -> str:
    """A rules file that maps each missing node to this one and each missing network to itself, for a person to edit.

    `plan` is of an import without these rules.
    """
    lines = [f"# Rules for importing `{plan.source.cluster_name}` into `{plan.target.name}`.", ""]
    clashes = [(f"vm:{change.name}", quoted(change.name + "-2")) for change in plan.conflicts]
    lines += _table("rename", clashes, "names that are other VMs here")
    nodes = [(str(node), str(plan.self_node)) for node in plan.missing_nodes]
    lines += _table("map-node", nodes, "nodes that are not here")
    networks = [(name, quoted(name)) for name in plan.missing_networks]
    lines += _table("map-network", networks, "networks and bridges that are not here")
    return "\n".join(lines).rstrip() + "\n"


def quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + "".join(_ESCAPES.get(each, _escaped(each)) for each in text) + '"'


def _escaped(each: str) -> str:
    return f"\\u{ord(each):04X}" if ord(each) < 0x20 or ord(each) == 0x7F else each


def _table(name: str, rows: Iterable[tuple[str, str]], why: str) -> list[str]:
    listed = [f"{quoted(key)} = {value}" for key, value in rows]
    return [f"# {why}", f"[{name}]", *listed, ""] if listed else []
