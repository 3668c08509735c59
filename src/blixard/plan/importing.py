"""plan_import: what an import would do, decided before anything is touched.

Pure: current state, document and options in, plan out; the order of objects on either side changes nothing. Each
decision has a module of its own; this one asks them in the order of DESIGN.md section 6.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import UNSET, Struct, UnsetType

from blixard.model.incoming import IncomingState
from blixard.model.pointer import join, parse
from blixard.model.structs import ClusterSnapshot, ExportHead, Hold, Kept, NodeState, Vm
from blixard.plan.collisions import find_collisions
from blixard.plan.contents import ContentRules, absent_contents, check_images, dropped_contents, plan_contents
from blixard.plan.desired import Deciding, desired_vm
from blixard.plan.document import Prepared, prepare
from blixard.plan.fields import struct_differences, vm_change
from blixard.plan.matching import Clash, Matching, Origins, Pair, match_vms
from blixard.plan.nodes import plan_nodes, without_unused
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.placement import Places, check_mapped, move_of
from blixard.plan.values import (
    Action,
    Collision,
    ContentAction,
    ContentChange,
    ImportPlan,
    Inert,
    PlanSource,
    Target,
    VmChange,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Planned(Struct, frozen=True, gc=False):
    """A VM of the document, decided."""

    pair: Pair
    made: Vm
    change: VmChange
    contents: list[ContentChange]


def plan_import(
    current: ClusterSnapshot,
    incoming: IncomingState,
    options: ImportOptions,
    *,
    document: str | None = None,
    edited: tuple[str, ...] = (),
    image_digests: Mapping[int, str] | None = None,
    others: Sequence[ClusterSnapshot] = (),
) -> ImportPlan:
    """Plan an import into `current`. Conflicts are part of the plan (`plan.conflicts`); `to_change` refuses them.

    Args:
        current: the target. For a new cluster (`options.new_cluster`) its new id, its name and this machine's node.
        incoming: the document.
        options: what was asked for.
        document: the document's digest, where it is known.
        edited: sections of the document that do not match its integrity.
        image_digests: digests of the document's images by index, where they are known beforehand; a disk that has the
            same content already is not staged again. The digests in `current.contents` are taken at their word: the
            caller has dropped those whose file was written to since.
        others: other clusters of this machine, for addresses in use.

    Raises:
        UsageError: a rule, variable or pointer that fits nothing.
        InvalidField: a rule or a merge makes a field break its rule.
        MalformedExport: two disks name the same image.
    """
    prepared = prepare(incoming, options)
    check_images((*(each.vm for each in prepared.vms.values()), *prepared.outside))
    head = incoming.head
    origins = Origins(target=current.id, file=_cluster_id(head.metadata.cluster_id))
    nodes = plan_nodes(current, prepared, options, head.exported_by_node, same=origins.same)
    check_mapped(prepared, nodes.result)
    places = Places(
        nodes=nodes.result,
        self_node=nodes.self_node,
        ids_are_ours=origins.same or options.new_cluster,
        adopted=options.adopt_node,
    )
    matching = match_vms(current, prepared, options, origins)
    starts = _starts(matching, options.start)
    deciding = Deciding(options=options, origins=origins, places=places, starts=starts)
    rules = ContentRules(
        contents=current.contents,
        keep_existing=options.mode is Mode.MERGE and not options.replace_disks,
        digests=image_digests or {},
        self_node=nodes.self_node,
    )
    planned = [_plan_vm(pair, deciding, rules) for pair in matching.pairs]
    used = _used_nodes(matching, planned)
    nodes = without_unused(nodes, used)
    return ImportPlan(
        target=Target(id=current.id, name=current.name, new=options.new_cluster),
        source=PlanSource(
            cluster_id=origins.file,
            cluster_name=head.cluster_name,
            exported_at=head.exported_at,
            document=document,
            edited=edited,
            revision=head.metadata.revision,
            kept=_kept(head),
        ),
        mode=options.mode,
        same_cluster=origins.same,
        base_revision=current.revision,
        self_node=nodes.self_node,
        self_node_before=current.self_node,
        provenance_before=current.provenance,
        partial=options.mode is Mode.MERGE or not (prepared.file_scope.whole and options.rules.scope.whole),
        nodes=tuple(nodes.changes()),
        vms=_vm_changes(planned, matching),
        contents=_content_changes(planned, matching, current),
        held=tuple(sorted(each.made.name for each in planned if _is_held(each))),
        starts=tuple(sorted(starts)),
        untrusted=tuple(_inert(planned)),
        moves=tuple(move for each in planned if (move := move_of(each.pair, each.made)) is not None),
        collisions=_collisions(planned, matching, others),
        missing_nodes=_missing_nodes(prepared, places),
        missing_networks=_missing_networks(prepared, current, options),
        left_out_nodes=nodes.left_out,
        warnings=(*_idle(prepared, current, options), *_warnings(planned, options, starts, nodes.self_node)),
    )


def _cluster_id(given: str | None) -> str | None:
    """The file's cluster id; what is no UUID names no cluster that we could know."""
    return given if given is not None and _UUID.fullmatch(given) else None


def _kept(head: ExportHead) -> Kept:
    """Keys for a later version; what is masked in them is not worth keeping."""
    masked = {parse(pointer)[:2] for pointer in head.metadata.redacted}
    metadata = {} if isinstance(head.metadata.unknown, UnsetType) else head.metadata.unknown
    return Kept(
        document={key: value for key, value in head.unknown.items() if not any(place[0] == key for place in masked)},
        metadata={key: value for key, value in metadata.items() if ("metadata", key) not in masked},
    )


def _plan_vm(pair: Pair, deciding: Deciding, rules: ContentRules) -> _Planned:
    made, ours = desired_vm(pair, deciding), pair.ours
    if ours is not None and (made is ours or made == ours) and not _brings_content(pair.incoming.vm):
        return _Planned(
            pair, ours, VmChange(kind=Action.KEEP, name=ours.name, id=pair.id), absent_contents(ours, rules)
        )
    made, contents = plan_contents(made, ours, pair.incoming, rules)
    return _Planned(pair, made, _change(pair, made), contents)


def _brings_content(vm: Vm) -> bool:
    return any(part.image is not UNSET for part in vm.parts)


def _change(pair: Pair, made: Vm) -> VmChange:
    ours = pair.ours
    if ours is None:
        renamed = made.name != pair.incoming.vm.name
        notes = (f"called `{made.name}`: `{pair.incoming.vm.name}` is another VM here",) if renamed else ()
        return VmChange(kind=Action.CREATE, name=made.name, id=pair.id, after=made, notes=notes)
    if made == ours:
        return VmChange(kind=Action.KEEP, name=made.name, id=pair.id)
    secret = [join(place) for place in pair.incoming.secret]
    return VmChange(
        kind=Action.UPDATE,
        name=made.name,
        id=pair.id,
        before=ours,
        after=made,
        fields=struct_differences(ours, made, secret=secret),
        notes=() if made.name == pair.incoming.vm.name else (f"`{pair.incoming.vm.name}` in the file",),
    )


def _vm_changes(planned: list[_Planned], matching: Matching) -> tuple[VmChange, ...]:
    changes = [each.change for each in planned]
    changes += [vm_change(vm, None) for vm in matching.deleted]
    changes += [VmChange(kind=Action.KEEP, name=vm.name, id=vm.id or "", notes=(why,)) for vm, why in matching.stays]
    changes += [_clash(clash) for clash in matching.clashes]
    return tuple(sorted(changes, key=lambda change: (change.name, change.kind is not Action.DELETE, change.id)))


def _clash(clash: Clash) -> VmChange:
    holder = clash.holder
    theirs = clash.incoming.vm.id or "no id"
    return VmChange(
        kind=Action.KEEP if clash.kept else Action.CONFLICT,
        name=holder.name,
        id=holder.id or "",
        before=None if clash.kept else holder,
        notes=(f"another VM here: `{holder.id}`, in the file `{theirs}`",),
    )


def _content_changes(
    planned: list[_Planned], matching: Matching, current: ClusterSnapshot
) -> tuple[ContentChange, ...]:
    changes = [change for each in planned for change in each.contents]
    for vm in matching.deleted:
        changes += dropped_contents(vm, current.contents)
    return tuple(sorted(changes, key=lambda change: (change.vm, change.key)))


def _used_nodes(matching: Matching, planned: list[_Planned]) -> set[int]:
    """Nodes that a VM stands on after the import."""
    standing = [vm for vm, _ in matching.stays] + [clash.holder for clash in matching.clashes]
    return {vm.node_id for vm in (*standing, *(each.made for each in planned)) if vm.node_id is not None}


def _starts(matching: Matching, globs: tuple[str, ...]) -> frozenset[str]:
    if not globs:
        return frozenset()
    names = [pair.name for pair in matching.pairs]
    return frozenset(name for glob in globs for name in names if fnmatch.fnmatchcase(name, glob))


def _is_held(each: _Planned) -> bool:
    ours = each.pair.ours
    return each.made.hold is Hold.IMPORTED and (ours is None or ours.hold is None)


def _inert(planned: list[_Planned]) -> Iterable[Inert]:
    for each in planned:
        pointers, ours = each.made.untrusted, each.pair.ours
        if pointers and ours is not None:
            pointers = tuple(pointer for pointer in pointers if pointer not in ours.untrusted)
        if pointers:
            yield Inert(each.made.name, pointers)


def _collisions(
    planned: list[_Planned], matching: Matching, others: Sequence[ClusterSnapshot]
) -> tuple[Collision, ...]:
    arriving = [(each.made, each.pair.ours) for each in planned if each.change.kind is not Action.KEEP]
    staying = [each.made for each in planned if each.change.kind is Action.KEEP]
    staying += [vm for vm, _ in matching.stays] + [clash.holder for clash in matching.clashes]
    return find_collisions(arriving, staying, others)


def _missing_nodes(prepared: Prepared, places: Places) -> tuple[int, ...]:
    wanted = {each.vm.node_id for each in prepared.vms.values() if each.mapped_node is None}
    known = {node.id for node in places.nodes.values() if node.state is NodeState.ACTIVE}
    return tuple(sorted(node for node in wanted if node is not None and not (places.ids_are_ours and node in known)))


def _missing_networks(prepared: Prepared, current: ClusterSnapshot, options: ImportOptions) -> tuple[str, ...]:
    wanted = _networks(each.vm for each in prepared.vms.values())
    return tuple(sorted(wanted - set(options.networks_here) - _networks(current.vms.values())))


def _networks(vms: Iterable[Vm]) -> set[str]:
    pairs = {(nic.network, nic.bridge) for vm in vms for nic in vm.networks}
    return {name for pair in pairs for name in pair if name}


def _idle(prepared: Prepared, current: ClusterSnapshot, options: ImportOptions) -> Iterable[str]:
    rules = options.rules
    if rules.scope.whole:
        return
    file = [(each.source, each.vm) for each in prepared.vms.values()] + [(vm.name, vm) for vm in prepared.outside]
    here = [(rules.source_name(vm.name) or vm.name, vm) for vm in current.vms.values()]
    nodes = [*(each.node for each in prepared.nodes), *current.nodes.values()]
    for selector in rules.scope.idle(file + here, nodes):
        yield f"`--only {selector}` names nothing, neither in the file nor in the cluster"


def _warnings(planned: list[_Planned], options: ImportOptions, starts: frozenset[str], self_node: int) -> Iterable[str]:
    for each in planned:
        if each.pair.ours is None and each.pair.incoming.redacted:
            yield f"`{each.made.name}` lacks values that were redacted in the file"
        away = each.made.node_id != self_node
        if away and any(change.action is ContentAction.STAGE for change in each.contents):
            yield f"`{each.made.name}` is placed on node {each.made.node_id}, its content is staged on this one"
    for glob in options.start:
        if not any(fnmatch.fnmatchcase(name, glob) for name in starts):
            yield f"`--start {glob}` names no VM of this import"
