"""Addresses and ids that are in use already.

A copy that boots beside its living original with the same MAC or IP breaks both, so each is named before it happens;
none stops the import, because replacing a lost cluster looks just the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from blixard.model.structs import ClusterSnapshot, Vm
from blixard.plan.values import Collision

Address = tuple[str, str]


def find_collisions(
    arriving: Iterable[tuple[Vm, Vm | None]], staying: Iterable[Vm], others: Sequence[ClusterSnapshot]
) -> tuple[Collision, ...]:
    """What is in use twice once the import is done.

    Args:
        arriving: VMs that are created or updated, each with the VM that it was here.
        staying: the cluster's other VMs, as they stay.
        others: other clusters of this machine.
    """
    new = [(vm.name, addresses_of(vm), ours) for vm, ours in arriving]
    if not new:
        return ()
    users: dict[Address, list[str]] = {}
    for name, addresses, _ in new:
        for address in addresses:
            users.setdefault(address, []).append(name)
    for vm in staying:
        _note(users, vm, vm.name)
    for cluster in others:
        for vm in cluster.vms.values():
            _note(users, vm, f"{cluster.name}/{vm.name}")
    return tuple(_collisions(new, {address: names for address, names in users.items() if len(names) > 1}))


def addresses_of(vm: Vm) -> set[Address]:
    """MACs, IPs and the UUID of a VM, in one spelling."""
    addresses = {("ip", _ip(vm.ip_address))} if vm.ip_address else set()
    if vm.id is not None:
        addresses.add(("uuid", vm.id))
    for network in vm.networks:
        if network.mac:
            addresses.add(("mac", network.mac.lower().replace("-", ":")))
        if network.ip:
            addresses.add(("ip", _ip(network.ip)))
    return addresses


def _ip(text: str) -> str:
    return text.partition("/")[0].lower()


def _note(users: dict[Address, list[str]], vm: Vm, shown: str) -> None:
    for address in addresses_of(vm):
        if address in users:
            users[address].append(shown)


def _collisions(
    new: list[tuple[str, set[Address], Vm | None]], shared: dict[Address, list[str]]
) -> Iterator[Collision]:
    for name, addresses, ours in sorted(new, key=itemgetter(0)) if shared else ():
        had = addresses_of(ours) if ours is not None else set()
        for kind, value in sorted((addresses & shared.keys()) - had):
            rest = tuple(sorted(user for user in shared[kind, value] if user != name))
            if rest:
                yield Collision(kind, value, name, rest)
