"""What an import was asked to do, as one frozen value.

All that steers a plan is in here and nothing else is, so a saved plan can be bound to one digest of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct, field, to_builtins

from blixard.model.canonical import digest
from blixard.plan.rules import Rules


class Mode(StrEnum):
    """What an import does to what is already there (DESIGN.md section 6)."""

    REPLACE = "replace"
    MERGE = "merge"


class OnConflict(StrEnum):
    """What a merge does with a VM whose name another VM has here."""

    FAIL = "fail"
    UPDATE = "update"
    KEEP = "keep"
    RENAME = "rename"


class MatchBy(StrEnum):
    """How far VMs are looked for: by id and origin, or then by name also."""

    ID = "id"
    NAME = "name"


class Values(Struct, frozen=True, kw_only=True):
    """Values of template variables by where they come from; an earlier source wins."""

    given: dict[str, str] = {}
    """`--var NAME=V`, as text."""
    file: dict[str, Any] = {}
    """`--var-file`, or the rules file, parsed."""
    environment: dict[str, str] = {}
    """`BLIXARD_VAR_NAME`, without the prefix."""


class ImportOptions(Struct, frozen=True, kw_only=True):
    """What steers the plan of one import."""

    mode: Mode = Mode.REPLACE
    rules: Rules = field(default_factory=Rules)
    values: Values = field(default_factory=Values)
    secrets: dict[str, Any] = {}
    """Redacted values that were kept apart: by JSON pointer into the document (`--secrets-file`)."""
    new_cluster: bool = False
    """The import makes the cluster; the snapshot it is planned against holds only this machine's own node."""
    on_conflict: OnConflict = OnConflict.FAIL
    match: MatchBy = MatchBy.ID
    replace_disks: bool = False
    new_identity: bool = False
    with_nodes: bool = False
    adopt_node: int | None = None
    node_id: int | None = None
    start: tuple[str, ...] = ()
    """Globs of target names; `("*",)` is a bare `--start`."""
    trust_host_paths: bool = False
    networks_here: tuple[str, ...] = ()
    """Networks and bridges of this machine; those that VMs of the cluster use already are known without it."""


def options_digest(options: ImportOptions) -> str:
    """One digest of everything that steers the plan, 64 hex digits."""
    return digest(to_builtins(options, str_keys=True))
