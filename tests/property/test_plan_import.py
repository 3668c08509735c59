"""What holds of every import: idempotent, bounded by its scope, independent of order, and undone by undo."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from blixard.model.changes import StateChange
from blixard.model.codec import to_object
from blixard.model.incoming import IncomingState
from blixard.model.structs import ClusterSnapshot, NodeState, Vm
from blixard.plan.document import prepare
from blixard.plan.fields import differences, struct_differences
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.saved import decode_plan, encode_plan
from blixard.plan.undo import plan_undo, undo_change
from blixard.plan.values import Action, ImportPlan
from support.plan_strategies import incoming, one_vm, options, snapshots
from support.planning import NOW, apply_change, change_of
from support.state_digest import state_digest

TRIES = settings(max_examples=40, deadline=None)


def planned(here: ClusterSnapshot, file: IncomingState, asked: ImportOptions, **fields: Any) -> ImportPlan:
    """The plan, of an import that has no conflict left."""
    plan = plan_import(here, file, asked, **fields)
    assume(not plan.conflicts)
    return plan


def digests(plan: ImportPlan) -> dict[int, str]:
    return {image: f"{image:064x}" for image in plan.images()}


@TRIES
@given(snapshots(), incoming(), options())
def test_a_plan_is_empty_after_it_was_applied(here: ClusterSnapshot, file: IncomingState, asked: ImportOptions) -> None:
    plan = planned(here, file, asked)
    after = apply_change(here, change_of(plan, digests=digests(plan)))

    again = plan_import(after, file, asked, image_digests=digests(plan))

    assert again.is_empty


@TRIES
@given(snapshots(), incoming(), options(mode=Mode.MERGE))
def test_a_merge_deletes_nothing(here: ClusterSnapshot, file: IncomingState, asked: ImportOptions) -> None:
    plan = planned(here, file, asked)

    after = apply_change(here, change_of(plan))

    assert here.nodes.keys() <= after.nodes.keys()
    left = after.vm_by_id()
    for vm in here.vms.values():
        made = left[vm.id or ""]
        assert {disk.name for disk in vm.disks} <= {disk.name for disk in made.disks}
        assert {nic.name for nic in vm.networks} <= {nic.name for nic in made.networks}
        assert vm.labels.keys() <= made.labels.keys()
    assert here.contents.keys() <= after.contents.keys()
    if not asked.replace_disks:
        assert all(after.contents[key] == content for key, content in here.contents.items())


@TRIES
@given(snapshots(), incoming(), options())
def test_nothing_outside_the_scope_changes(here: ClusterSnapshot, file: IncomingState, asked: ImportOptions) -> None:
    plan = planned(here, file, asked)
    after = apply_change(here, change_of(plan)).vm_by_id()
    prepared = prepare(file, asked)
    untouched = ("outside the scope", "not in the file")
    spoken_of = {
        change.id
        for change in plan.vms
        if change.kind is not Action.DELETE and not any(note in untouched for note in change.notes)
    }

    for vm in here.vms.values():
        source = asked.rules.source_name(vm.name)
        scopes = (prepared.file_scope, asked.rules.scope)
        if vm.id not in spoken_of and not all(scope.selects_vm(vm, source) for scope in scopes):
            assert after.get(vm.id or "") == vm


@TRIES
@given(snapshots(), incoming(), options())
def test_a_live_node_is_never_removed_or_changed(
    here: ClusterSnapshot, file: IncomingState, asked: ImportOptions
) -> None:
    after = apply_change(here, change_of(planned(here, file, asked)))

    for node in here.nodes.values():
        if node.state is NodeState.ACTIVE and node.id != here.self_node:
            assert after.nodes[node.id] == node
    mine, ours = after.nodes[here.self_node], here.nodes[here.self_node]
    assert structs.replace(mine, labels={}, topology=ours.topology) == structs.replace(ours, labels={})


@TRIES
@given(snapshots(), incoming(), options(), st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(
    here: ClusterSnapshot, file: IncomingState, asked: ImportOptions, dice: random.Random
) -> None:
    names, listed = list(file.vms), list(file.nodes)
    dice.shuffle(names)
    dice.shuffle(listed)
    ours = list(here.vms)
    dice.shuffle(ours)
    shuffled_file = structs.replace(file, vms={name: file.vms[name] for name in names}, nodes=tuple(listed))
    shuffled_here = structs.replace(here, vms={name: here.vms[name] for name in ours})

    assert plan_import(shuffled_here, shuffled_file, asked) == plan_import(here, file, asked)


@TRIES
@given(snapshots(), incoming(), options())
def test_undo_after_an_import_gives_the_same_state(
    here: ClusterSnapshot, file: IncomingState, asked: ImportOptions
) -> None:
    change = change_of(planned(here, file, asked))
    assume(change.undo is not None)
    assert change.undo is not None
    after = apply_change(here, change)

    undo: StateChange = undo_change(plan_undo(change.undo, after), now=NOW)
    back = apply_change(after, undo)

    assert state_digest(back) == state_digest(here)
    assert undo.undo is not None
    again = apply_change(back, undo_change(plan_undo(undo.undo, back), now=NOW))
    assert state_digest(again) == state_digest(after)


@TRIES
@given(snapshots(), incoming(), options())
def test_references_stay_consistent_under_any_rules(
    here: ClusterSnapshot, file: IncomingState, asked: ImportOptions
) -> None:
    after = apply_change(here, change_of(planned(here, file, asked)))

    ids = [vm.id for vm in after.vms.values()]
    assert all(name == vm.name for name, vm in after.vms.items())
    assert None not in ids
    assert len(set(ids)) == len(ids)
    touched = [vm for vm in after.vms.values() if here.vm_by_id().get(vm.id or "") != vm]
    assert all(vm.node_id in after.nodes for vm in touched)
    owned = {(vm.id, disk.name) for vm in after.vms.values() for disk in vm.disks}
    assert all((key.vm_id, key.name) in owned for key in after.contents)


@TRIES
@given(snapshots(), incoming(), options())
def test_a_saved_plan_is_the_same_plan(here: ClusterSnapshot, file: IncomingState, asked: ImportOptions) -> None:
    plan = plan_import(here, file, asked)

    assert decode_plan(encode_plan(plan, asked, "0" * 64)).plan == plan


@given(one_vm("a", 1, ours=True), one_vm("a", 1, ours=False), st.sets(st.sampled_from(Vm.__struct_fields__)))
@settings(max_examples=200, deadline=None)
def test_what_differs_between_vms_is_what_differs_between_their_json(ours: Vm, theirs: Vm, taken: set[str]) -> None:
    made = structs.replace(ours, **{name: getattr(theirs, name) for name in taken})

    assert struct_differences(ours, made) == differences(to_object(ours), to_object(made))
