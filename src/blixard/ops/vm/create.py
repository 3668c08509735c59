"""`vm create`: a VM from disks, files and fields.

Check everything, copy the content, then one transaction. What was copied for a VM that did not come to be is removed; a
kill in between leaves files that nobody names, which the next command that writes sweeps.
"""

from __future__ import annotations

import uuid

import pybase64
from msgspec import Struct, field, structs

from blixard import files
from blixard.errors import Conflict, InvalidField
from blixard.home.registry import DiskOwner
from blixard.model.codec import decode_vm, to_object
from blixard.model.structs import ClusterSnapshot, Content, ContentKey, ContentKind, Disk, JsonObject, Vm
from blixard.ops.keeping.leftovers import sweep_if_free
from blixard.ops.vm.intake import bring_in, give_back, take_file
from blixard.ops.vm.specs import DiskSpec, FileSpec, VmSpec, checked_vm
from blixard.ports import Progress, StateChange
from blixard.site.open_cluster import OpenCluster, no_node

VERB = "vm create"


class VmMade(Struct, frozen=True, kw_only=True):
    """A VM that exists now."""

    vm: Vm
    cluster: str
    copied_bytes: int
    warnings: tuple[str, ...]


class _Gathered(Struct):
    """What has been brought together for a VM so far; all of it is given back when it does not come to be."""

    vm_id: str
    disks: list[JsonObject] = field(default_factory=list)
    files: list[JsonObject] = field(default_factory=list)
    contents: dict[ContentKey, Content] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def create_vm(opened: OpenCluster, spec: VmSpec, progress: Progress) -> VmMade:
    """Make the VM that `spec` describes.

    Raises:
        InvalidField: naming the field.
        Conflict: a VM has that name, or a disk that is to stay in place is written to by another VM.
        NotFound: the node it is to be placed on is not there.
        Locked: an import is at work.
        StorageError: a disk or file cannot be read or copied; nothing is left behind.
    """
    vm = checked_vm(spec)
    options = _for_history(spec)
    with opened.recording(VERB, options):
        sweep_if_free(opened, VERB)
        with opened.locks.editing(VERB, opened.policy.lock_wait):
            snapshot = opened.snapshot()
            _check_place(snapshot, vm, spec)
            here = structs.replace(vm, node_id=snapshot.self_node) if vm.node_id is None else vm
            return _create(opened, here, spec, options, progress)


def _create(opened: OpenCluster, bare: Vm, spec: VmSpec, options: JsonObject, progress: Progress) -> VmMade:
    gathered = _Gathered(str(uuid.uuid4()))
    try:
        for disk in spec.disks:
            _gather_disk(opened, spec, disk, gathered, progress)
        for file in spec.files:
            _gather_file(opened, spec, file, gathered)
        whole = {"id": gathered.vm_id, "disks": gathered.disks, "files": gathered.files}
        vm = decode_vm(to_object(bare) | whole, f"vm.{spec.name}")
        # in the order in which they were given, as `vm set` adds to them
        vm = structs.replace(vm, labels=bare.labels, metadata=bare.metadata)

        def plan(snapshot: ClusterSnapshot) -> StateChange:
            _check_place(snapshot, vm, spec)
            return StateChange(put_vms=(vm,), put_contents=tuple(gathered.contents.items()))

        opened.edit(VERB, options, plan, locked=True)
    except BaseException:
        give_back(opened, spec.name, gathered.contents)
        raise
    copied = sum(each.size_bytes for each in gathered.contents.values() if each.file is not None)
    return VmMade(vm=vm, cluster=opened.name, copied_bytes=copied, warnings=tuple(gathered.warnings))


def _gather_disk(opened: OpenCluster, spec: VmSpec, disk: DiskSpec, gathered: _Gathered, progress: Progress) -> None:
    owner = DiskOwner(opened.name, spec.name, gathered.vm_id, disk.name)
    taken = bring_in(opened, disk, owner, progress, in_place=spec.image_in_place)
    content = taken.content
    gathered.warnings.extend(taken.warnings)
    gathered.contents[ContentKey(gathered.vm_id, ContentKind.DISK, disk.name)] = content
    made = Disk(
        name=disk.name,
        format=content.format,
        size_bytes=content.size_bytes,
        bus=disk.bus,
        boot_index=disk.boot_index,
        read_only=disk.read_only,
        source=str(disk.path.absolute()),
    )
    gathered.disks.append(to_object(made))


def _gather_file(opened: OpenCluster, spec: VmSpec, file: FileSpec, gathered: _Gathered) -> None:
    at = f"vm.{spec.name}.files.{file.name}"
    made: JsonObject = {"role": file.role.value, "name": file.name}
    limit = opened.policy.limits.inline_file_bytes
    with files.translated("look at", file.path):
        size = file.path.stat().st_size
    if not file.path.is_file():
        raise InvalidField(at, f"`{file.path}` is not a regular file")
    if size > limit:
        content = take_file(file.path, opened.directory, f"{spec.name}-{file.name}")
        gathered.contents[ContentKey(gathered.vm_id, ContentKind.FILE, file.name)] = content
        gathered.files.append({**made, "size_bytes": content.size_bytes})
        return
    inline = files.read_bytes(file.path, limit)
    made["size_bytes"] = len(inline)
    try:
        made["text"] = inline.decode()
    except UnicodeDecodeError:
        made["base64"] = pybase64.b64encode(inline).decode()
    gathered.files.append(made)


def _check_place(snapshot: ClusterSnapshot, vm: Vm, spec: VmSpec) -> None:
    """Refuse a name that is taken, a node that is not there, and content for another node than this one."""
    if vm.name in snapshot.vms:
        raise Conflict(
            f"there is a VM `{vm.name}` in cluster `{snapshot.name}` already",
            hint="choose another name, or change that one with `blixard vm set`",
        )
    if vm.node_id is not None and vm.node_id not in snapshot.nodes:
        raise no_node(vm.node_id, snapshot)
    if vm.node_id not in (None, snapshot.self_node) and (spec.disks or spec.files):
        raise InvalidField(
            f"vm.{vm.name}.node_id",
            f"its disks and files would be taken in here, and this is node {snapshot.self_node}",
            hint=f"run the command on node {vm.node_id}, or leave out `--node`",
        )


def _for_history(spec: VmSpec) -> JsonObject:
    """What the history says was asked for: the keys of metadata, because their values may be secrets."""
    told: JsonObject = {"vm": spec.name, "disks": [str(disk.path) for disk in spec.disks]}
    if spec.fields.get("metadata"):
        told["metadata_keys"] = sorted(spec.fields["metadata"])
    if spec.image_in_place:
        told["image_in_place"] = True
    return told
