"""What happens to the content of disks and large files.

A file without images brings no content: what is here stays. Facts of content that stays (format, size) stay with it,
whatever the file says: a record that disagrees with its disk would not boot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType, structs

from blixard.errors import MalformedExport
from blixard.model.structs import Content, ContentKey, ContentKind, Disk, DiskFormat, File, Vm
from blixard.plan.document import PreparedVm
from blixard.plan.values import ContentAction, ContentChange

Part = TypeVar("Part", Disk, File)


class ContentRules(Struct, frozen=True, kw_only=True):
    """What the decision depends on, once for all VMs."""

    contents: Mapping[ContentKey, Content]
    keep_existing: bool
    """A merge without `--replace-disks`."""
    digests: Mapping[int, str]
    """Digests of images where they are known beforehand: what is here already is not staged again."""
    self_node: int


def check_images(vms: Iterable[Vm]) -> None:
    """Refuse a document in which two disks or files name the same image.

    Raises:
        MalformedExport: naming both.
    """
    owners: dict[int, str] = {}
    for vm in vms:
        for part in vm.parts:
            if part.image is UNSET:
                continue
            owner = f"{vm.name}/{part.name}"
            if part.image in owners:
                raise MalformedExport(f"image {part.image} is named by both `{owners[part.image]}` and `{owner}`")
            owners[part.image] = owner


def without_image_links(vm: Vm) -> Vm:
    """The VM as it is in a cluster: `image` means something in a document only."""
    for part in vm.parts:
        if part.image is not UNSET:
            return structs.replace(vm, disks=_unlinked(vm.disks), files=_unlinked(vm.files))
    return vm


def plan_contents(
    made: Vm, ours: Vm | None, incoming: PreparedVm, rules: ContentRules
) -> tuple[Vm, list[ContentChange]]:
    """The contents of a VM that is created or updated, and the VM with the facts of what stays."""
    if ours is None and not made.parts:
        return made, []
    images = _images(incoming.vm.disks)
    changes = [_decide(made, disk, images.get(disk.name), ours, rules) for disk in made.disks]
    if made.files:
        images = _images(incoming.vm.files)
        large = (file for file in made.files if not file.inline)
        changes += [_decide(made, file, images.get(file.name), ours, rules) for file in large]
    if ours is None:
        return made, changes
    made = _with_our_sources(_with_kept_facts(made, ours, changes), ours, changes)
    going = contents_of(ours, rules.contents).keys() - contents_of_names(made)
    return made, changes + [_drop(made.name, key, rules.contents[key]) for key in sorted(going)]


def dropped_contents(vm: Vm, contents: Mapping[ContentKey, Content]) -> list[ContentChange]:
    """The contents of a VM that is deleted."""
    return [_drop(vm.name, key, content) for key, content in sorted(contents_of(vm, contents).items())]


def contents_of(vm: Vm, contents: Mapping[ContentKey, Content]) -> dict[ContentKey, Content]:
    """The contents that a VM has on this node."""
    return {key: contents[key] for key in contents_of_names(vm) if key in contents}


def held_contents(vm: Vm, contents: Mapping[ContentKey, Content]) -> dict[ContentKey, Content]:
    """Everything that is kept under a VM's id, also what none of its disks and files names."""
    return {key: content for key, content in contents.items() if key.vm_id == vm.id}


def contents_of_names(vm: Vm) -> set[ContentKey]:
    """The keys under which a VM's contents are, or would be, kept."""
    return {vm.key_of(part) for part in vm.parts if not part.inline}


def absent_contents(vm: Vm, rules: ContentRules) -> list[ContentChange]:
    """What a VM that stays as it is lacks: an operator is told each time."""
    if vm.node_id not in (None, rules.self_node):
        return []
    missing = (part for part in vm.parts if not part.inline and vm.key_of(part) not in rules.contents)
    return [_change(vm, vm.key_of(part), part, ContentAction.ABSENT) for part in missing]


def keep_instead(change: ContentChange, why: str) -> ContentChange:
    """The change of a disk whose image turned out unusable: it keeps its content, or is absent."""
    action = ContentAction.ABSENT if change.before is None else ContentAction.KEEP
    return structs.replace(change, action=action, image=None, note=why)


def _images(parts: Iterable[Disk | File]) -> dict[str, int]:
    return {part.name: part.image for part in parts if part.image is not UNSET}


def _decide(vm: Vm, part: Disk | File, image: int | None, ours: Vm | None, rules: ContentRules) -> ContentChange:
    key = vm.key_of(part)
    existing = rules.contents.get(key) if ours is not None else None
    if image is None:
        if existing is not None:
            return _change(vm, key, part, ContentAction.KEEP, before=existing)
        if _is_elsewhere(vm, ours, key, rules):
            return _change(vm, key, part, ContentAction.KEEP, note=f"on node {vm.node_id}")
        return _change(vm, key, part, ContentAction.ABSENT)
    if existing is not None and rules.keep_existing:
        note = "has content here: `--replace-disks` takes the file's"
        return _change(vm, key, part, ContentAction.KEEP, before=existing, note=note)
    if existing is not None and existing.digest is not None and existing.digest == rules.digests.get(image):
        return _change(vm, key, part, ContentAction.KEEP, before=existing, note="the same content is here")
    return _change(vm, key, part, ContentAction.STAGE, before=existing, image=image)


def _is_elsewhere(vm: Vm, ours: Vm | None, key: ContentKey, rules: ContentRules) -> bool:
    """A snapshot holds the contents of one node only; a disk on another one is not missing."""
    if ours is None or ours.node_id != vm.node_id or ours.node_id in (None, rules.self_node):
        return False
    return key in contents_of_names(ours)


def _change(
    vm: Vm,
    key: ContentKey,
    part: Disk | File,
    action: ContentAction,
    *,
    before: Content | None = None,
    image: int | None = None,
    note: str = "",
) -> ContentChange:
    size = part.size_bytes
    return ContentChange(
        key=key,
        vm=vm.name,
        action=action,
        image=image,
        format=part.format if isinstance(part, Disk) else DiskFormat.RAW,
        size_bytes=None if isinstance(size, UnsetType) else size,
        before=before,
        note=note,
    )


def _drop(vm: str, key: ContentKey, content: Content) -> ContentChange:
    return ContentChange(
        key=key,
        vm=vm,
        action=ContentAction.DROP,
        format=content.format,
        size_bytes=content.size_bytes,
        before=content,
    )


def _with_kept_facts(made: Vm, ours: Vm, changes: list[ContentChange]) -> Vm:
    """The VM whose kept disks have the format and size that they have here."""
    here = {disk.name: (disk.format, disk.size_bytes) for disk in ours.disks}
    facts: dict[str, tuple[DiskFormat, int]] = {}
    for position, change in enumerate(changes):
        if change.action is not ContentAction.KEEP or change.key.kind is not ContentKind.DISK:
            continue
        known = here.get(change.key.name)
        if change.before is not None:
            known = (change.before.format, change.before.size_bytes)
        if known is not None:
            facts[change.key.name] = known
            changes[position] = structs.replace(change, format=known[0], size_bytes=known[1])
    return with_facts(made, facts)


def _with_our_sources(made: Vm, ours: Vm, changes: list[ContentChange]) -> Vm:
    """A disk whose content is not replaced keeps its source where the file does not say one, as a template does not."""
    here = {disk.name: disk.source for disk in ours.disks if disk.source}
    staged = {change.key.name for change in changes if change.action is ContentAction.STAGE}
    if not any(disk.name in here and disk.name not in staged and not disk.source for disk in made.disks):
        return made
    disks = (
        disk if disk.source or disk.name in staged else structs.replace(disk, source=here.get(disk.name))
        for disk in made.disks
    )
    return structs.replace(made, disks=tuple(disks))


def with_facts(vm: Vm, facts: Mapping[str, tuple[DiskFormat, int]]) -> Vm:
    """The VM with format and size of the named disks as given."""
    if all((disk.format, disk.size_bytes) == facts.get(disk.name, (disk.format, disk.size_bytes)) for disk in vm.disks):
        return vm
    disks = tuple(
        structs.replace(disk, format=facts[disk.name][0], size_bytes=facts[disk.name][1])
        if disk.name in facts
        else disk
        for disk in vm.disks
    )
    return structs.replace(vm, disks=disks)


def _unlinked(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(structs.replace(part, image=UNSET) for part in parts)
