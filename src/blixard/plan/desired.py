"""What a VM of the document will be in the target: its fields, then what the plan decides for it.

Order matters for speed: most VMs of a large import are new or unchanged, so whole structs are compared before any JSON
is made of them.
"""

from __future__ import annotations

from msgspec import Struct, structs

from blixard.model.codec import decode_vm, to_object
from blixard.model.incoming import IncomingVm
from blixard.model.pointer import Tokens
from blixard.model.structs import Hold, JsonObject, Origin, Vm
from blixard.plan.contents import without_image_links
from blixard.plan.document import PreparedVm
from blixard.plan.identity import derived_mac, with_macs
from blixard.plan.matching import FoundBy, Origins, Pair
from blixard.plan.merge import merge_changes_nothing, merge_vm, replace_vm, with_ours_at, without_places
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.placement import Places, place
from blixard.plan.trust import inert_fields

_REQUIRED: tuple[Tokens, ...] = (("name",), ("config_path",), ("vcpus",), ("memory",))


class Deciding(Struct, frozen=True, kw_only=True):
    """What the decisions depend on, once for all VMs."""

    options: ImportOptions
    origins: Origins
    places: Places
    starts: frozenset[str]
    """Target names that `--start` names."""


def desired_vm(pair: Pair, deciding: Deciding) -> Vm:
    """The VM that will be there.

    Raises:
        InvalidField: both sides together break a field's rule.
    """
    made = _fields(pair, deciding.options.mode)
    if deciding.options.new_identity:
        theirs, target = pair.incoming.vm, deciding.origins.target
        source, brought = theirs.id or pair.incoming.source, {nic.name for nic in theirs.networks}
        renewed = [nic.name for nic in made.networks if nic.mac is not None and nic.name in brought]
        made = with_macs(made, {name: derived_mac(target, source, name) for name in renewed})
    elif pair.found_by is FoundBy.ORIGIN and pair.ours is not None and pair.id != pair.incoming.vm.id:
        # a copy that got an identity of its own keeps it
        made = with_macs(made, {nic.name: nic.mac for nic in pair.ours.networks})
    return _decided(made, pair, deciding)


def _fields(pair: Pair, mode: Mode) -> Vm:
    incoming, ours = pair.incoming, pair.ours
    theirs = without_image_links(incoming.vm)
    if ours is None:
        return _without_masks(incoming, theirs)
    if incoming.redacted:
        return _with_our_secrets(ours, incoming, mode)
    if mode is Mode.REPLACE:
        return without_image_links(replace_vm(ours, incoming))
    if merge_changes_nothing(ours, theirs, incoming):
        return ours
    return without_image_links(merge_vm(ours, incoming.given))


def _without_masks(incoming: PreparedVm, theirs: Vm) -> Vm:
    """A new VM without what was masked; a required field keeps its mask."""
    places = incoming.redacted and tuple(place for place in incoming.redacted if place not in _REQUIRED)
    if not places:
        return theirs
    return without_image_links(decode_vm(without_places(incoming.given, places), f"vms.{theirs.name}"))


def _with_our_secrets(ours: Vm, incoming: PreparedVm, mode: Mode) -> Vm:
    """A masked value is no value: ours stays, in both modes."""
    at = f"vms.{ours.name}"
    optional = tuple(place for place in incoming.redacted if place not in _REQUIRED)
    given: JsonObject = without_places(incoming.given, optional)
    made = merge_vm(ours, given) if mode is Mode.MERGE else replace_vm(ours, IncomingVm(decode_vm(given, at), given))
    kept = with_ours_at(to_object(made), to_object(ours), incoming.given, incoming.redacted)
    return without_image_links(decode_vm(kept, at))


def _decided(made: Vm, pair: Pair, deciding: Deciding) -> Vm:
    """The VM with name, id, origin, placement, hold and trust as the plan decides them."""
    origin, hold, untrusted = _provenance(made, pair, deciding)
    if pair.name in deciding.starts and hold is Hold.IMPORTED:
        hold = None
    node_id = place(pair, deciding.places)
    decided = (pair.name, pair.id, origin, node_id, hold, untrusted)
    if decided == (made.name, made.id, made.origin, made.node_id, made.hold, made.untrusted):
        return made
    return structs.replace(
        made, name=pair.name, id=pair.id, origin=origin, node_id=node_id, hold=hold, untrusted=untrusted
    )


def _provenance(made: Vm, pair: Pair, deciding: Deciding) -> tuple[Origin | None, Hold | None, tuple[str, ...]]:
    """Where it was copied from, whether it may start, and which of its fields are inert."""
    ours, theirs, origins = pair.ours, pair.incoming.vm, deciding.origins
    if ours is None and origins.same:
        origin = theirs.origin if pair.id == theirs.id else _origin(theirs, origins.file)
        return origin, theirs.hold, theirs.untrusted
    if pair.found_by is FoundBy.ID and pair.id == theirs.id and origins.same and deciding.options.mode is Mode.REPLACE:
        # our own file, put back: the cluster becomes what it says
        return theirs.origin, theirs.hold, theirs.untrusted
    trusted = deciding.options.trust_host_paths
    inert = inert_fields(made, ours, pair.incoming, trusted=trusted, stranger=not origins.same)
    if ours is None:
        return _origin(theirs, origins.file), Hold.IMPORTED, inert
    # consent that was given here is not taken back by a file
    return ours.origin, ours.hold, inert


def _origin(theirs: Vm, file: str | None) -> Origin | None:
    if file is None or theirs.id is None:
        return theirs.origin
    return Origin(cluster_id=file, vm_id=theirs.id)
