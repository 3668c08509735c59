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
    others_here = [(vm, vm.name) for vm in staying]
    others_here += [(vm, f"{cluster.name}/{vm.name}") for cluster in others for vm in cluster.vms.values()]
    old = [(shown, addresses_of(vm)) for vm, shown in others_here]
    shared = _shared((addresses for _, addresses, _ in new), (addresses for _, addresses in old))
    if not shared:
        return ()
    users: dict[Address, list[str]] = {address: [] for address in shared}
    for name, addresses in (*((name, addresses) for name, addresses, _ in new), *old):
        for address in addresses & shared:
            users[address].append(name)
    return tuple(_collisions(new, users))


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


def _shared(new: Iterable[set[Address]], old: Iterable[set[Address]]) -> set[Address]:
    """Addresses of `new` that are there twice: usually none, and then nobody has to be remembered for each."""
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


def _collisions(
    new: list[tuple[str, set[Address], Vm | None]], shared: dict[Address, list[str]]
) -> Iterator[Collision]:
    for name, addresses, ours in sorted(new, key=itemgetter(0)):
        had = addresses_of(ours) if ours is not None else set()
        for kind, value in sorted((addresses & shared.keys()) - had):
            rest = tuple(sorted(user for user in shared[kind, value] if user != name))
            if rest:
                yield Collision(kind, value, name, rest)
