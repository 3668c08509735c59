"""Addresses and ids that are in use already.

A copy that boots beside its living original with the same MAC or IP breaks both, so each is named before it happens;
none stops the import, because replacing a lost cluster looks just the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
    new = list(arriving)
    if not new:
        return ()
    old = [(vm, "") for vm in staying]
    old += [(vm, f"{cluster.name}/") for cluster in others for vm in cluster.vms.values()]
    if _all_differ([vm for vm, _ in (*new, *old)]):
        return ()
    shared = _shared((addresses_of(vm) for vm, _ in new), (addresses_of(vm) for vm, _ in old))
    if not shared:
        return ()
    users: dict[Address, list[str]] = {address: [] for address in shared}
    for vm, where in (*((vm, "") for vm, _ in new), *old):
        for address in addresses_of(vm) & shared:
            users[address].append(where + vm.name)
    return tuple(_collisions(new, users))


def addresses_of(vm: Vm) -> set[Address]:
    """MACs, IPs and the UUID of a VM, in one spelling."""
    addresses = {("ip", _ip(vm.ip_address))} if vm.ip_address else set()
    if vm.id is not None:
        addresses.add(("uuid", vm.id))
    for network in vm.networks:
        if network.mac:
            addresses.add(("mac", _mac(network.mac)))
        if network.ip:
            addresses.add(("ip", _ip(network.ip)))
    return addresses


def _ip(text: str) -> str:
    return text.partition("/")[0].lower()


def _mac(text: str) -> str:
    return text.lower().replace("-", ":")


def _all_differ(vms: list[Vm]) -> bool:
    """True when no address is there twice: mostly so, and seen in a third of the time that finding out whose takes."""
    ids = [vm.id for vm in vms if vm.id is not None]
    macs = [_mac(nic.mac) for vm in vms for nic in vm.networks if nic.mac]
    ips = [_ip(vm.ip_address) for vm in vms if vm.ip_address]
    ips += [_ip(nic.ip) for vm in vms for nic in vm.networks if nic.ip and nic.ip != vm.ip_address]
    return all(len(set(values)) == len(values) for values in (ids, macs, ips))


def _shared(new: Iterable[set[Address]], old: Iterable[set[Address]]) -> set[Address]:
    """Addresses of `new` that are there twice."""
    seen: set[Address] = set()
    twice: set[Address] = set()
    for addresses in new:
        if not seen.isdisjoint(addresses):
            twice |= seen & addresses
        seen |= addresses
    for addresses in old:
        if not seen.isdisjoint(addresses):
            twice |= seen & addresses
    return twice


def _collisions(new: list[tuple[Vm, Vm | None]], shared: dict[Address, list[str]]) -> Iterator[Collision]:
    for vm, ours in sorted(new, key=lambda each: each[0].name):
        had = addresses_of(ours) if ours is not None else set()
        for kind, value in sorted((addresses_of(vm) & shared.keys()) - had):
            rest = tuple(sorted(user for user in shared[kind, value] if user != vm.name))
            if rest:
                yield Collision(kind, value, vm.name, rest)
