"""Which VM here is which VM of the document, and what each will be called.

By id, then by origin, and by name only for a VM without an id (or `--match name`): a name that was used again must
never let a file overwrite a stranger. Names are settled afterwards, when it is known who stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import cached_property
from itertools import count

from msgspec import Struct, structs

from blixard.limits import DEFAULT
from blixard.model.structs import ClusterSnapshot, Vm
from blixard.plan.document import Prepared, PreparedVm
from blixard.plan.identity import derived_id, unused_id
from blixard.plan.options import ImportOptions, MatchBy, Mode, OnConflict
from blixard.plan.scope import SelectorKind


class FoundBy(StrEnum):
    """How a VM here was recognised."""

    ID = "id"
    ORIGIN = "origin"
    NAME = "name"


class Pair(Struct, frozen=True, kw_only=True, gc=False):
    """A VM of the document, the VM here that it is (or None), and the id and name it will have."""

    incoming: PreparedVm
    ours: Vm | None
    id: str
    name: str
    found_by: FoundBy | None = None


class Clash(Struct, frozen=True, kw_only=True, gc=False):
    """A VM of the document that cannot be made, because another VM has its name."""

    incoming: PreparedVm
    holder: Vm
    kept: bool
    """The operator said to keep ours; else it is a conflict."""


class Matching(Struct, frozen=True, kw_only=True):
    """Every VM of both sides, once."""

    pairs: tuple[Pair, ...]
    clashes: tuple[Clash, ...]
    deleted: tuple[Vm, ...]
    stays: tuple[tuple[Vm, str], ...]
    """VMs here that the import does not touch, and why."""


class Origins(Struct, frozen=True, kw_only=True):
    """Which cluster the file is of and which one it goes into: VMs are recognised by it."""

    target: str
    file: str | None
    """Cluster id in the file."""

    @property
    def same(self) -> bool:
        """The file was made by this cluster."""
        return self.file == self.target


def match_vms(current: ClusterSnapshot, prepared: Prepared, options: ImportOptions, origins: Origins) -> Matching:
    """Match both sides and settle the names. Does not depend on the order of VMs on either side."""
    finder = _Finder(current, options, origins)
    incoming = [prepared.vms[name] for name in sorted(prepared.vms)]
    pairs = finder.pairs(incoming)
    used = {pair.ours.id for pair in pairs if pair.ours is not None}
    # the file speaks of these, but the scope says to leave them alone
    spoken_of = {pair.ours.id for pair in finder.pairs([_bare(vm) for vm in prepared.outside]) if pair.ours is not None}
    deleted: list[Vm] = []
    stays: list[tuple[Vm, str]] = []
    for vm in current.vms.values():
        if vm.id in used:
            continue
        if vm.id in spoken_of or not _in_scope(vm, prepared, options, origins):
            stays.append((vm, "outside the scope"))
        elif options.mode is Mode.MERGE:
            stays.append((vm, "not in the file"))
        else:
            deleted.append(vm)
    return _settle_names(pairs, stays, deleted, options)


class _Finder:
    """Indexes over the VMs here, made only when they are needed."""

    def __init__(self, current: ClusterSnapshot, options: ImportOptions, origins: Origins) -> None:
        self._current = current
        self._by_id = current.vm_by_id()
        self._options = options
        self._origins = origins

    def pairs(self, incoming: Iterable[PreparedVm]) -> list[Pair]:
        listed = list(incoming)
        ids = {each.source: self._id(each) for each in listed}
        found = self._find(listed, ids) if self._current.vms else {}
        taken = set(self._by_id) | {made for made in ids.values() if made is not None}
        return [self._pair(each, found.get(each.source), ids[each.source], taken) for each in listed]

    def _find(self, listed: list[PreparedVm], ids: dict[str, str | None]) -> dict[str, tuple[Vm, FoundBy]]:
        """The VMs here that these are, by source: all that one way finds are taken before the next way is tried."""
        found: dict[str, tuple[Vm, FoundBy]] = {}
        used: set[str | None] = set()
        ways: dict[FoundBy, Callable[[PreparedVm], Vm | None]] = {
            FoundBy.ID: lambda each: self._by_id.get(ids[each.source] or ""),
            FoundBy.ORIGIN: lambda each: self._copy_of(each, used),
            FoundBy.NAME: self._namesake_of,
        }
        rest = listed
        for found_by, look in ways.items():
            left: list[PreparedVm] = []
            for each in rest:
                ours = look(each)
                if ours is None or ours.id in used:
                    left.append(each)
                else:
                    found[each.source] = (ours, found_by)
                    used.add(ours.id)
            rest = left
        return found

    def _id(self, each: PreparedVm) -> str | None:
        source = each.vm.id
        if source is None or not self._options.new_identity:
            return source
        return derived_id(self._origins.target, source)

    def _pair(self, each: PreparedVm, found: tuple[Vm, FoundBy] | None, made: str | None, taken: set[str]) -> Pair:
        if found is not None and found[0].id is not None:
            return Pair(incoming=each, ours=found[0], id=found[0].id, name=each.vm.name, found_by=found[1])
        if made is None:
            made = unused_id(self._origins.target, each.source, taken)
            taken.add(made)
        return Pair(incoming=each, ours=None, id=made, name=each.vm.name)

    def _copy_of(self, each: PreparedVm, used: set[str | None]) -> Vm | None:
        candidates = [vm for vm in self._copies.get(each.vm.id or "", ()) if vm.id not in used]
        return min(candidates, key=lambda vm: (vm.name != each.vm.name, vm.name), default=None)

    @cached_property
    def _copies(self) -> dict[str, list[Vm]]:
        """VMs here that come from the file's cluster, by the id of their original."""
        copies: dict[str, list[Vm]] = {}
        # in the same cluster a copy with a new identity is not its original, though it comes from it
        if self._origins.file is None or (self._origins.same and not self._options.new_identity):
            return copies
        for vm in self._current.vms.values():
            if vm.origin is not None and vm.origin.cluster_id == self._origins.file:
                copies.setdefault(vm.origin.vm_id, []).append(vm)
        return copies

    def _namesake_of(self, each: PreparedVm) -> Vm | None:
        by_name = each.vm.id is None or self._options.match is MatchBy.NAME
        return self._current.vms.get(each.vm.name) if by_name else None


def _bare(vm: Vm) -> PreparedVm:
    return PreparedVm(source=vm.name, vm=vm)


def _in_scope(vm: Vm, prepared: Prepared, options: ImportOptions, origins: Origins) -> bool:
    """True when a replace may delete this VM, which the file does not have. In doubt it may not."""
    source = options.rules.source_name(vm.name)
    for scope in (prepared.file_scope, options.rules.scope):
        if scope.whole:
            continue
        # a node id of another cluster means no node here; a name that no source leads to is in no scope by name
        if scope.uses(SelectorKind.NODE) and not origins.same:
            return False
        if scope.uses(SelectorKind.VM) and source is None:
            return False
        if not scope.selects_vm(vm, source):
            return False
    return True


def _settle_names(
    pairs: list[Pair], stays: list[tuple[Vm, str]], deleted: list[Vm], options: ImportOptions
) -> Matching:
    holders = {vm.name: vm for vm, _ in stays}
    if not holders:
        return Matching(pairs=tuple(pairs), clashes=(), deleted=tuple(deleted), stays=())
    settled = _keep_names_here(pairs, holders)
    names = {pair.name for pair in settled} | holders.keys()
    made: list[Pair] = []
    clashes: list[Clash] = []
    updated: set[str | None] = set()
    for pair in settled:
        holder = holders.get(pair.name)
        if holder is None or pair.ours is not None:
            made.append(pair)
        elif options.on_conflict is OnConflict.RENAME:
            free = _free_name(pair.name, names)
            names.add(free)
            made.append(structs.replace(pair, name=free))
        elif _may_update(holder, stays, options) and holder.id is not None:
            updated.add(holder.id)
            made.append(structs.replace(pair, ours=holder, id=holder.id, found_by=FoundBy.NAME))
        else:
            clashes.append(Clash(incoming=pair.incoming, holder=holder, kept=options.on_conflict is OnConflict.KEEP))
    clashing = {clash.holder.id for clash in clashes} | updated
    return Matching(
        pairs=tuple(made),
        clashes=tuple(clashes),
        deleted=tuple(deleted),
        stays=tuple((vm, why) for vm, why in stays if vm.id not in clashing),
    )


def _may_update(holder: Vm, stays: list[tuple[Vm, str]], options: ImportOptions) -> bool:
    """`--on-conflict update` reaches a VM that a merge passed by, never one outside the scope or matched already."""
    if options.on_conflict is not OnConflict.UPDATE:
        return False
    return any(vm.id == holder.id and why == "not in the file" for vm, why in stays)


def _keep_names_here(pairs: list[Pair], holders: dict[str, Vm]) -> list[Pair]:
    """A VM found here whose name in the file is another's here keeps the name that it has.

    Its name may be what a third one was to get, so this goes on until nobody is in the way. `holders` grows.
    """
    wanted = {pair.name: position for position, pair in enumerate(pairs)}
    settled = list(pairs)
    waiting = [position for name, position in wanted.items() if name in holders]
    while waiting:
        position = waiting.pop()
        ours = settled[position].ours
        if ours is None or settled[position].name == ours.name:
            continue
        settled[position] = structs.replace(settled[position], name=ours.name)
        holders[ours.name] = ours
        if wanted.get(ours.name, position) != position:
            waiting.append(wanted[ours.name])
    return settled


def _free_name(name: str, names: set[str]) -> str:
    endings = (f"-{turn}" for turn in count(2))
    numbered = (name[: DEFAULT.name_chars - len(ending)] + ending for ending in endings)
    return next(each for each in numbered if each not in names)
