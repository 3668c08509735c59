"""The rules of DESIGN.md section 6 on undo, and the changes that plans become."""

from __future__ import annotations

import pytest
from msgspec import structs

from blixard.errors import Conflict, InternalError
from blixard.model.changes import StateChange, UndoEntry
from blixard.model.structs import ClusterSnapshot, Hold, NodeState, Provenance
from blixard.plan.change import to_change
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.undo import plan_undo, undo_change
from blixard.plan.values import Action, ContentAction
from blixard.plan.vm_change import delete_vm_change, fill_disk_change
from support.documents import disk, node, uuid
from support.planning import (
    EXPORTED,
    NOW,
    THERE,
    apply_change,
    change_of,
    cluster,
    content,
    disk_key,
    document,
    vm,
)
from support.state_digest import state_digest

WEB = vm("web", 1, disks=(disk(),))
DB = vm("db", 2, disks=(disk(),))
BEFORE = cluster(WEB, DB, contents={disk_key(WEB): content("w"), disk_key(DB): content("d")})
INCOMING = document(vm("web", 1, disks=(disk(image=0),), vcpus=9), vm("new", 3, disks=(disk(image=1),)))


def imported(
    before: ClusterSnapshot = BEFORE, options: ImportOptions | None = None
) -> tuple[ClusterSnapshot, UndoEntry]:
    change = change_of(plan_import(before, INCOMING, options or ImportOptions()))
    return apply_change(before, change), entry_of(change)


def entry_of(change: StateChange) -> UndoEntry:
    assert change.undo is not None
    return structs.replace(change.undo, id=5)


def undone(now: ClusterSnapshot, entry: UndoEntry, *, force: bool = False) -> tuple[ClusterSnapshot, UndoEntry]:
    change = undo_change(plan_undo(entry, now, force=force), now=NOW)
    return apply_change(now, change), entry_of(change)


def test_undo_after_an_import_gives_the_state_back() -> None:
    after, entry = imported()

    back, _ = undone(after, entry)

    assert (back.vms, back.contents, back.provenance) == (BEFORE.vms, BEFORE.contents, None)
    assert state_digest(back) == state_digest(BEFORE)


def test_undo_keeps_its_own_undo_and_uses_the_entry_up() -> None:
    after, entry = imported()
    change = undo_change(plan_undo(entry, after), now=NOW)

    again, _ = undone(apply_change(after, change), entry_of(change))

    assert (change.drop_undo, entry_of(change).verb) == ((5,), "undo")
    assert state_digest(again) == state_digest(after)
    assert again.provenance == after.provenance


def test_what_has_changed_since_is_a_conflict_naming_all() -> None:
    after, entry = imported()
    now = apply_change(after, StateChange(put_vms=(structs.replace(after.vms["new"], vcpus=1),),
                                          delete_vms=(uuid(1),)))  # fmt: skip

    plan = plan_undo(entry, now)

    with pytest.raises(Conflict, match=r"`new` \(changed since\), `web` \(deleted since\)"):
        undo_change(plan, now=NOW)


def test_force_rolls_over_what_has_changed_and_undo_keeps_it() -> None:
    after, entry = imported()
    now = apply_change(after, StateChange(put_vms=(structs.replace(after.vms["new"], vcpus=1),)))

    back, undo = undone(now, entry, force=True)
    again, _ = undone(back, undo)

    assert state_digest(back) == state_digest(BEFORE)
    assert again.vms == now.vms


def test_what_is_back_already_is_kept() -> None:
    _, entry = imported()

    plan = plan_undo(entry, BEFORE)

    assert plan.is_empty
    assert {each.kind for each in plan.vms} == {Action.KEEP}


def test_a_name_that_another_vm_took_since_is_a_conflict_even_with_force() -> None:
    after, entry = imported()
    now = apply_change(after, StateChange(put_vms=(vm("db", 8),)))

    assert [each.name for each in plan_undo(entry, now, force=True).conflicts] == ["db"]


def test_a_disk_that_was_written_to_since_is_a_conflict() -> None:
    after, entry = imported()
    written = {**after.contents, disk_key(WEB): content("new-0", digest="other")}

    plan = plan_undo(entry, structs.replace(after, contents=written))

    assert [(each.name, each.notes) for each in plan.conflicts] == [("web", ("content of `root` changed since",))]


def test_a_disk_that_was_attached_since_to_a_vm_that_goes_is_a_conflict() -> None:
    change = change_of(plan_import(cluster(), document(vm("a", 1, disks=(disk(),))), ImportOptions()))
    now = apply_change(apply_change(cluster(), change), StateChange(put_contents=((disk_key(WEB), content()),)))

    assert [each.name for each in plan_undo(entry_of(change), now).conflicts] == ["a"]


def test_a_disk_whose_content_both_states_share_is_named_as_not_rolled_back() -> None:
    incoming = document(vm("web", 1, disks=(disk(),), vcpus=9))
    change = change_of(plan_import(BEFORE, incoming, ImportOptions(mode=Mode.MERGE)))

    plan = plan_undo(entry_of(change), apply_change(BEFORE, change))

    assert plan.not_rolled_back == ("web/root",)


def test_undoing_the_import_that_made_the_cluster_parks_it() -> None:
    empty = cluster(revision=0)
    incoming = document(vm("a", 1), vm("b", 2), cluster_id=THERE)
    change = change_of(plan_import(empty, incoming, ImportOptions(new_cluster=True)))
    after = apply_change(empty, change)

    parked, undo = undone(after, entry_of(change))
    back, _ = undone(parked, undo)

    assert entry_of(change).created_cluster
    assert {each.hold for each in parked.vms.values()} == {Hold.PARKED}
    assert back.vms == after.vms


def test_undo_never_removes_a_live_node() -> None:
    incoming = document(nodes=[node(1), node(2)])
    change = change_of(plan_import(cluster(), incoming, ImportOptions()))
    after = apply_change(cluster(), change)
    joined = apply_change(after, StateChange(put_nodes=(structs.replace(after.nodes[2], state=NodeState.ACTIVE),)))

    plan = plan_undo(entry_of(change), joined, force=True)

    assert {each.kind for each in plan.nodes} == {Action.KEEP}
    assert set(undone(after, entry_of(change))[0].nodes) == {1}


def deleted() -> tuple[ClusterSnapshot, UndoEntry]:
    change, entry = delete_vm_change(BEFORE, DB, now=NOW)
    return apply_change(BEFORE, change), structs.replace(entry, id=5)


def test_a_vm_that_is_deleted_comes_back_with_its_disk() -> None:
    without, entry = deleted()

    back, _ = undone(without, entry)

    assert ("db" in without.vms, disk_key(DB) in without.contents) == (False, False)
    assert state_digest(back) == state_digest(BEFORE)


def test_content_that_no_disk_names_goes_and_comes_with_its_vm() -> None:
    nameless = disk_key(DB, "gone")
    before = structs.replace(BEFORE, contents={**BEFORE.contents, nameless: content("g")})
    change, entry = delete_vm_change(before, DB, now=NOW)
    without = apply_change(before, change)

    assert nameless not in without.contents
    assert undone(without, structs.replace(entry, id=5))[0].contents[nameless] == content("g")


def test_undoing_an_older_delete_leaves_the_provenance_of_a_later_import() -> None:
    without, entry = deleted()
    later = Provenance(cluster_name="x", exported_at=EXPORTED, imported_at=NOW, mode="merge")

    assert undone(structs.replace(without, provenance=later), entry)[0].provenance == later


def test_content_that_is_replaced_comes_back_and_the_disk_as_it_was() -> None:
    change = fill_disk_change(BEFORE, WEB, disk(size_bytes=7), content("n"), verb="vm attach-image", now=NOW)

    after = apply_change(BEFORE, change)

    assert (after.contents[disk_key(WEB)], after.vms["web"].disks) == (content("n"), (disk(size_bytes=7),))
    assert state_digest(undone(after, entry_of(change))[0]) == state_digest(BEFORE)


def test_content_for_a_disk_that_had_none_leaves_nothing_to_undo() -> None:
    empty = structs.replace(BEFORE, contents={})
    change = fill_disk_change(empty, WEB, disk(), content("n"), verb="vm attach-image", now=NOW)

    assert (change.undo, apply_change(empty, change).contents) == (None, {disk_key(WEB): content("n")})


def test_a_plan_with_conflicts_becomes_no_change() -> None:
    plan = plan_import(cluster(vm("a", 1)), document(vm("a", 2)), ImportOptions(mode=Mode.MERGE))

    with pytest.raises(Conflict):
        change_of(plan)


def test_an_image_that_was_not_staged_is_a_bug() -> None:
    with pytest.raises(InternalError):
        to_change(plan_import(BEFORE, INCOMING, ImportOptions()), {}, import_id="i", now=NOW, title="t")


def test_an_empty_plan_changes_nothing_but_completes_its_row() -> None:
    change = change_of(plan_import(BEFORE, document(WEB, DB), ImportOptions()), history={"verb": "import"})

    assert change == StateChange(import_done="i-1", history={"verb": "import"})


def test_an_import_raises_our_revision_and_writes_provenance() -> None:
    incoming = document(vm("web", 1, vcpus=9), revision=500)
    change = change_of(plan_import(BEFORE, incoming, ImportOptions(), document="d" * 64, edited=("vms",)))

    assert apply_change(BEFORE, change).revision == 501
    assert change.provenance is not None
    assert (change.provenance.document, change.provenance.mode, change.provenance.edited) == (
        "d" * 64,
        "replace",
        ("vms",),
    )


def test_a_revision_from_a_hostile_file_does_not_exhaust_ours() -> None:
    incoming = document(vm("web", 1, vcpus=9), revision=(1 << 63) - 1)

    assert change_of(plan_import(BEFORE, incoming, ImportOptions())).raise_revision_to == 0


def test_contents_that_are_replaced_or_dropped_are_kept_by_the_undo() -> None:
    _, entry = imported()

    assert dict(entry.before.contents) == dict(BEFORE.contents)
    assert {each.file for _, each in entry.after.contents} == {"new-0", "new-1"}


def test_the_undo_plan_restores_and_drops() -> None:
    after, entry = imported()

    plan = plan_undo(entry, after)

    assert {(each.vm, each.action) for each in plan.contents} == {
        ("web", ContentAction.RESTORE),
        ("db", ContentAction.RESTORE),
        ("new", ContentAction.DROP),
    }
