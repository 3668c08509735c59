"""Saved plans: `--plan-out FILE`, later `--plan FILE` applies exactly that and nothing else.

A plan holds only while nothing has moved, so it is bound to the document, the options and the state's revision. Its own
digest stands in it, so that one that was edited is refused.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from blixard.errors import Conflict, DigestMismatch, MalformedExport, UnsupportedVersion
from blixard.model.canonical import digest
from blixard.plan.options import ImportOptions, options_digest
from blixard.plan.values import ImportPlan

FORMAT = "blixard-plan"
VERSION = 1


class SavedPlan(Struct, frozen=True, kw_only=True):
    """A plan and what it is bound to; digests in hex."""

    format: str
    version: int
    document: str
    rules: str
    revision: int
    cluster_id: str
    digest: str
    plan: ImportPlan


def encode_plan(plan: ImportPlan, options: ImportOptions, document: str) -> bytes:
    """The plan file: JSON, one line. It holds secrets where the VMs do, so it has to be a private file."""
    saved = SavedPlan(
        format=FORMAT,
        version=VERSION,
        document=document,
        rules=options_digest(options),
        revision=plan.base_revision,
        cluster_id=plan.target.id,
        digest=_digest(plan),
        plan=plan,
    )
    return msgspec.json.encode(saved) + b"\n"


def decode_plan(data: bytes) -> SavedPlan:
    """A plan file's plan.

    Raises:
        MalformedExport: no plan file.
        UnsupportedVersion: made by a newer blixard.
        DigestMismatch: it was edited.
    """
    try:
        head = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedExport(f"not a plan file: {error}") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise MalformedExport("not a plan file", hint="`import --dry-run --plan-out FILE` writes one")
    if head.get("version") != VERSION:
        raise UnsupportedVersion(f"plan file of version `{head.get('version')}`", hint="make the plan again")
    try:
        saved = msgspec.json.decode(data, type=SavedPlan)
    except msgspec.ValidationError as error:
        raise MalformedExport(f"not a plan file: {error}") from error
    if _digest(saved.plan) != saved.digest:
        raise DigestMismatch("the plan was edited after it was made", hint="make the plan again, with other rules")
    return saved


def check_saved(
    saved: SavedPlan, *, document: str, options: ImportOptions, revision: int, cluster_id: str
) -> ImportPlan:
    """The plan, when nothing has moved since it was made.

    Raises:
        Conflict: naming what has moved.
    """
    changes = {
        "the cluster is another one": saved.cluster_id != cluster_id,
        "the file is another one": saved.document != document,
        "the rules or options are others": saved.rules != options_digest(options),
        f"the state is at revision {revision}, not {saved.revision}": saved.revision != revision,
    }
    moved = [what for what, has_changed in changes.items() if has_changed]
    if moved:
        raise Conflict(f"the plan does not hold any more: {', '.join(moved)}", hint="make the plan again")
    return saved.plan


def _digest(plan: ImportPlan) -> str:
    return digest(msgspec.to_builtins(plan, str_keys=True))
