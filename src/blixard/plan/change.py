"""From a plan to one atomic change of the state, with the undo that takes it back.

The plan carries both sides of everything that it touches, so nothing is looked up here: what was shown is what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET, structs

from blixard.errors import Conflict, InternalError
from blixard.model.changes import StateChange, UndoEntry, UndoSide
from blixard.model.structs import (
    Content,
    ContentKey,
    ContentKind,
    DiskFormat,
    JsonObject,
    Kept,
    Provenance,
)
from blixard.plan.contents import keep_instead, with_facts
from blixard.plan.fields import struct_differences
from blixard.plan.values import REPLACING, Action, ContentAction, ContentChange, ImportPlan, VmChange

if TYPE_CHECKING:
    from blixard.plan.undo import UndoPlan

_JQ_SAFE = (1 << 53) - 1
"""A hostile file must not push our revision to the end of 64 bits."""


def refuse_conflicts(plan: ImportPlan) -> None:
    """Refuse a plan that has conflicts.

    Raises:
        Conflict: naming every VM that stands in the way.
    """
    names = [change.name for change in plan.conflicts]
    if not names:
        return
    listed = ", ".join(f"`{name}`" for name in names)
    raise Conflict(
        f"{len(names)} names of the file are other VMs here: {listed}",
        hint="`--on-conflict update|keep|rename`, `--match name`, or `--rename vm:OLD=NEW`",
    )


def to_change(
    plan: ImportPlan,
    staged: Mapping[int, Content],
    *,
    import_id: str,
    now: datetime,
    title: str,
    history: JsonObject | None = None,
) -> StateChange:
    """The plan as one change.

    Args:
        plan: without conflicts.
        staged: the content of every image in `plan.images()`, as it lies in `disks/` now.
        import_id: the `import` row that this completes.
        now: time of the import.
        title: one line for `undo list`.
        history: the history entry, stored with the change.

    Raises:
        Conflict: the plan has conflicts.
    """
    refuse_conflicts(plan)
    if plan.is_empty:
        return StateChange(import_done=import_id, history=history)
    entry = partial(
        UndoEntry, made_at=now, verb="import", title=title, import_id=import_id, created_cluster=plan.target.new
    )
    return structs.replace(
        reversible(plan, _staged(plan, staged), _provenance(plan, now), entry),
        self_node=plan.self_node if plan.self_node != plan.self_node_before else None,
        raise_revision_to=_revision(plan),
        import_done=import_id,
        history=history,
    )


def reversible(
    plan: ImportPlan | UndoPlan,
    put_contents: tuple[tuple[ContentKey, Content], ...],
    provenance: Provenance | None,
    entry: Callable[..., UndoEntry],
) -> StateChange:
    """What a plan changes, as one change with the undo entry that knows both sides of everything it touches.

    Args:
        plan: without conflicts.
        put_contents: the contents that disks get.
        provenance: where the state comes from then.
        entry: makes the entry of its two sides, `before` and `after`.
    """
    after = UndoSide(
        nodes=tuple(change.after for change in plan.nodes if change.after is not None),
        vms=tuple(change.after for change in plan.vms if change.after is not None),
        contents=put_contents,
        provenance=provenance,
    )
    replaced = (change for change in plan.contents if change.action in REPLACING)
    before = UndoSide(
        nodes=tuple(change.before for change in plan.nodes if change.before is not None),
        vms=tuple(change.before for change in plan.vms if change.before is not None),
        contents=tuple(sorted((each.key, each.before) for each in replaced if each.before is not None)),
        provenance=plan.provenance_before,
    )
    return StateChange(
        put_nodes=after.nodes,
        delete_nodes=tuple(change.id for change in plan.nodes if change.kind is Action.DELETE),
        put_vms=after.vms,
        delete_vms=tuple(change.id for change in plan.vms if change.kind is Action.DELETE),
        put_contents=put_contents,
        delete_contents=tuple(change.key for change in plan.contents if change.action is ContentAction.DROP),
        provenance=provenance,
        undo=entry(before=before, after=after),
    )


def without_images(plan: ImportPlan, failed: Mapping[int, str]) -> ImportPlan:
    """The plan without these images: their disks keep the content that they have here, or are absent.

    Args:
        plan: made before the images were read.
        failed: why, by index; what the plan does not stage is of no concern to it.
    """
    staged = plan.images()
    known = {image: why for image, why in failed.items() if image in staged}
    contents = tuple(_without_image(change, known) for change in plan.contents)
    facts: dict[str, dict[str, tuple[DiskFormat, int]]] = {}
    for old, new in zip(plan.contents, contents, strict=True):
        if old is not new and new.before is not None and new.key.kind is ContentKind.DISK:
            facts.setdefault(new.key.vm_id, {})[new.key.name] = (new.before.format, new.before.size_bytes)
    vms = tuple(_with_facts(change, facts[change.id]) if change.id in facts else change for change in plan.vms)
    return structs.replace(plan, contents=contents, vms=vms, failed_images={**plan.failed_images, **known})


def _staged(plan: ImportPlan, staged: Mapping[int, Content]) -> tuple[tuple[ContentKey, Content], ...]:
    images = plan.images()
    missing = sorted(images.keys() - staged.keys())
    if missing:
        raise InternalError(f"image {missing[0]} is in the plan and was not staged")
    return tuple(sorted((key, staged[image]) for image, key in images.items()))


def _provenance(plan: ImportPlan, now: datetime) -> Provenance:
    source = plan.source
    return Provenance(
        cluster_id=source.cluster_id,
        cluster_name=source.cluster_name,
        exported_at=source.exported_at,
        document=source.document,
        imported_at=now,
        mode=plan.mode.value,
        edited=source.edited,
        partial=bool(plan.failed_images),
        kept=UNSET if plan.kept == Kept() else plan.kept,
    )


def _revision(plan: ImportPlan) -> int:
    """One above the revision in our own file, so that no revision comes twice; 0 when there is none to follow."""
    seen = plan.source.revision
    return seen + 1 if plan.same_cluster and seen is not None and seen < _JQ_SAFE else 0


def _without_image(change: ContentChange, failed: Mapping[int, str]) -> ContentChange:
    if change.image is None or change.image not in failed:
        return change
    return keep_instead(change, failed[change.image])


def _with_facts(change: VmChange, facts: Mapping[str, tuple[DiskFormat, int]]) -> VmChange:
    if change.after is None or change.before is None:
        return change
    after = with_facts(change.after, facts)
    if after == change.before:
        return VmChange(kind=Action.KEEP, name=change.name, id=change.id, notes=change.notes)
    fields = struct_differences(change.before, after)
    shown = {each.pointer: each for each in change.fields}
    # what was hidden stays hidden
    return structs.replace(change, after=after, fields=tuple(shown.get(each.pointer, each) for each in fields))
