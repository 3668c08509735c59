"""Changes of one VM that take content away, each with the undo that gives it back.

Pure, beside `change`: `vm delete` and `vm attach-image` promise what an import promises.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from blixard.model.changes import StateChange, UndoEntry, UndoSide
from blixard.model.structs import ClusterSnapshot, Content, Disk, Vm
from blixard.plan.contents import held_contents


def delete_vm_change(current: ClusterSnapshot, vm: Vm, *, now: datetime) -> tuple[StateChange, UndoEntry]:
    """Delete a VM and its contents; the entry keeps both.

    Returns:
        The change, without the entry: whether it may be kept is for the retention of undo to say.
    """
    contents = tuple(sorted(held_contents(vm, current.contents).items()))
    entry = UndoEntry(
        made_at=now,
        verb="vm delete",
        title=f"VM `{vm.name}` deleted",
        before=UndoSide(vms=(vm,), contents=contents, provenance=current.provenance),
        after=UndoSide(provenance=current.provenance),
    )
    return StateChange(delete_vms=(vm.id or "",), delete_contents=tuple(key for key, _ in contents)), entry


def fill_disk_change(
    current: ClusterSnapshot, vm: Vm, disk: Disk, content: Content, *, verb: str, now: datetime
) -> StateChange:
    """Give a disk its content; what it had is kept by the undo entry of the change.

    Args:
        current: the state now.
        vm: as it is now.
        disk: as it will be, under the name that one of the VM's disks has.
        content: what it will hold.
        verb: of the entry.
        now: of the entry.
    """
    key = vm.key_of(disk)
    filled = structs.replace(vm, disks=tuple(disk if each.name == disk.name else each for each in vm.disks))
    change = StateChange(put_vms=(filled,), put_contents=((key, content),))
    if key not in current.contents:
        return change
    entry = UndoEntry(
        made_at=now,
        verb=verb,
        title=f"content of disk `{disk.name}` of VM `{vm.name}` replaced",
        before=UndoSide(vms=(vm,), contents=((key, current.contents[key]),), provenance=current.provenance),
        after=UndoSide(vms=(filled,), contents=((key, content),), provenance=current.provenance),
    )
    return structs.replace(change, undo=entry)
