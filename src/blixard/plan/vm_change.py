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
    """Give `disk`, as it will be, its content; the undo entry of the change keeps what the disk of that name had."""
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
