"""`vm set|delete|release|trust`: single VMs of a cluster, each change one transaction.

A deletion is kept as an undo entry. A field that the operator sets is no longer untrusted: it is his own now.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct, structs

from blixard.errors import Conflict, Locked, StorageError
from blixard.model.codec import decode_vm, to_object
from blixard.model.structs import ClusterSnapshot, JsonObject, Vm
from blixard.ops.keeping.claims import release_claims
from blixard.ops.keeping.held_bytes import with_held_bytes
from blixard.ops.keeping.leftovers import sweep
from blixard.ops.keeping.undo import newest_entry
from blixard.ops.vm.specs import check_ip, check_settable
from blixard.plan.contents import held_contents
from blixard.plan.retention import retained
from blixard.plan.vm_change import delete_vm_change
from blixard.ports import StateChange
from blixard.site.open_cluster import OpenCluster, find_vm, no_node


class VmDeleted(Struct, frozen=True, kw_only=True):
    """A VM that is gone, and what brings it back."""

    vm: Vm
    cluster: str
    undo_id: int | None
    """None when the settings keep nothing."""
    kept_in_place: tuple[str, ...]
    """Paths of disks that were never ours to delete."""
    dropped_undo: tuple[int, ...]


def set_vm(opened: OpenCluster, name: str, changes: JsonObject) -> Vm:
    """Change fields of a VM; return it as it is now.

    Args:
        opened: its cluster.
        name: of the VM.
        changes: values of fields, named as the model names them. In `labels` and `metadata` only the keys that are
            given change, and None takes a key away.

    Raises:
        NotFound: there is no such VM, or not the node it is to be placed on.
        Conflict: its disks are here and it is to be placed elsewhere.
        InvalidField: naming the field.
    """
    options: JsonObject = {"vm": name, "fields": sorted(changes)}

    def changed(snapshot: ClusterSnapshot) -> Vm:
        return _changed(find_vm(snapshot, name, opened.directory), changes, snapshot)

    return changed(opened.edit("vm set", options, lambda snapshot: StateChange(put_vms=(changed(snapshot),))))


def release_vm(opened: OpenCluster, name: str) -> Vm:
    """Take the hold off a VM, so that it may start; return it as it was.

    Raises:
        NotFound: there is no such VM.
    """
    return _edit_vm(opened, "vm release", name, lambda vm: structs.replace(vm, hold=None))


def trust_vm(opened: OpenCluster, name: str) -> Vm:
    """Accept what came from another cluster's file in a VM; return it as it was, with what was `untrusted`.

    Raises:
        NotFound: there is no such VM.
    """
    return _edit_vm(opened, "vm trust", name, lambda vm: structs.replace(vm, untrusted=()))


def delete_vm(opened: OpenCluster, name: str) -> VmDeleted:
    """Delete a VM. Its state and its disk files are kept as an undo entry; disks in place are not touched.

    Raises:
        NotFound: there is no such VM.
        Locked: an import is at work.
    """
    verb, now = "vm delete", opened.clock.now()
    made: list[StateChange] = []

    def plan(snapshot: ClusterSnapshot) -> StateChange:
        change, entry = delete_vm_change(snapshot, find_vm(snapshot, name, opened.directory), now=now)
        left = {key: each for key, each in snapshot.contents.items() if key not in change.delete_contents}
        without = structs.replace(snapshot, contents=left)
        entries = with_held_bytes((entry.summary(), *opened.store.undo_entries()), without, opened.directory)
        undo, dropped = retained(entry, entries, opened.policy.undo, now)
        made[:] = [structs.replace(change, undo=undo, expire_undo=dropped)]
        return made[0]

    before = opened.edit(verb, {"vm": name}, plan)
    vm, kept, dropped = find_vm(before, name, opened.directory), made[0].undo is not None, made[0].expire_undo
    contents = {key: before.contents[key] for key in made[0].delete_contents}
    release_claims(opened.home, opened.name, vm.name, contents)
    if dropped or not kept:
        with suppress(Locked, StorageError):  # somebody reads disks: the next command that writes frees the space
            sweep(opened, verb)
    return VmDeleted(
        vm=vm,
        cluster=opened.name,
        undo_id=newest_entry(opened) if kept else None,
        kept_in_place=tuple(each.path for each in contents.values() if each.path is not None),
        dropped_undo=dropped,
    )


def _edit_vm(opened: OpenCluster, verb: str, name: str, change: Callable[[Vm], Vm]) -> Vm:
    def here(snapshot: ClusterSnapshot) -> Vm:
        return find_vm(snapshot, name, opened.directory)

    return here(opened.edit(verb, {"vm": name}, lambda snapshot: StateChange(put_vms=(change(here(snapshot)),))))


def _changed(vm: Vm, changes: JsonObject, snapshot: ClusterSnapshot) -> Vm:
    check_settable(changes, f"vm.{vm.name}")
    node = changes.get("node_id")
    if node is not None and node not in snapshot.nodes:
        raise no_node(node, snapshot)
    if node not in (None, snapshot.self_node) and held_contents(vm, snapshot.contents):
        raise Conflict(
            f"VM `{vm.name}` has its disks on node {snapshot.self_node}, they would not go with it",
            hint="export it here with `--include-images --only vm=NAME` and import it there",
        )
    if changes.get("ip_address") is not None:
        check_ip(changes["ip_address"], f"vm.{vm.name}.ip_address")
    given = {
        name: _merged(getattr(vm, name) or {}, value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    trusted = {f"/{name}" for name in given}
    untrusted = [pointer for pointer in vm.untrusted if pointer not in trusted]
    # through the codec, which checks every field and names the one that is wrong
    return decode_vm({**to_object(vm), **given, "untrusted": untrusted}, f"vm.{vm.name}")


def _merged(there: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    merged = {**there, **changes}
    return {key: value for key, value in merged.items() if value is not None}
