"""Fields that a file of another cluster may bring but not put into effect: host paths, bridges and commands.

Trust is of a value: what was trusted here and comes again unchanged stays trusted, what differs has to be looked at.
"""

from __future__ import annotations

from functools import cache
from itertools import compress
from operator import attrgetter

from blixard.model.pointer import is_inside, parse
from blixard.model.structs import Vm
from blixard.plan.document import PreparedVm

FIELDS = ("config_path", "health_check_config", "boot")
"""Fields of a VM that name a host path or a command; beside them, each network's `bridge`."""
_POINTERS = tuple(f"/{field}" for field in FIELDS)
_VALUES = attrgetter(*FIELDS)


def inert_fields(made: Vm, ours: Vm | None, incoming: PreparedVm, *, trusted: bool, stranger: bool) -> tuple[str, ...]:
    """Pointers into `made` that are inert: what is new in it and came from the file, and what was inert before.

    Args:
        made: the VM as it will be.
        ours: the VM that it was here, if any.
        incoming: what the file and the rules say.
        trusted: the operator trusts what this file brings (`--trust-host-paths`).
        stranger: the file is of another cluster; our own file's fields are inert only where it says so itself.
    """
    untouched = ours is not None and _VALUES(made) == _VALUES(ours) and made.networks == ours.networks
    if ours is not None and untouched and not trusted and not incoming.chosen:
        return ours.untrusted
    sensitive = _sensitive(made)
    if incoming.chosen:
        sensitive = tuple(pointer for pointer in sensitive if not _is_chosen(pointer, incoming))
    if ours is None:
        return () if trusted else sensitive
    before, theirs = _by_place(ours), _by_place(incoming.vm)
    inert: list[str] = []
    for pointer in sensitive:
        place = _place(pointer, made)
        value, is_inert = before.get(place, (None, False))
        if trusted and incoming.gives(parse(pointer)[0]):
            continue
        if value != _value(pointer, made):
            is_inert = stranger or theirs.get(place, (None, False))[1]
        if is_inert:
            inert.append(pointer)
    return tuple(inert)


def _sensitive(vm: Vm) -> tuple[str, ...]:
    pointers = _set_fields(*map(bool, _VALUES(vm)))
    for n, network in enumerate(vm.networks):
        if network.bridge:
            pointers += (f"/networks/{n}/bridge",)
    return pointers


@cache
def _set_fields(*are_set: bool) -> tuple[str, ...]:
    """Pointers to the fields that are set; kept, so that all VMs with the same fields share one tuple."""
    return tuple(compress(_POINTERS, are_set))


def _by_place(vm: Vm) -> dict[tuple[str, str], tuple[object, bool]]:
    """Value and inertness of each sensitive field."""
    return {_place(p, vm): (_value(p, vm), p in vm.untrusted) for p in _sensitive(vm)}


def _place(pointer: str, vm: Vm) -> tuple[str, str]:
    """A name for the field that outlives a new order of the interfaces."""
    tokens = parse(pointer)
    return tokens[0], vm.networks[int(tokens[1])].name if tokens[0] == "networks" else ""


def _value(pointer: str, vm: Vm) -> object:
    tokens = parse(pointer)
    return vm.networks[int(tokens[1])].bridge if tokens[0] == "networks" else getattr(vm, tokens[0])


def _is_chosen(pointer: str, incoming: PreparedVm) -> bool:
    """True when the operator gave this value: by a rule he named it himself."""
    place = parse(pointer)
    return any(is_inside(place, chosen) for chosen in incoming.chosen)
