"""Ids and MACs of copies: computed from their source and never random, so the same import twice gives the same VM.

UUIDv5 (RFC 9562 section 5.5) in the name space of the target cluster's id, so two clusters never get the same copy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID, uuid5

from msgspec import structs

from blixard.model.structs import Vm


def derived_id(cluster_id: str, source: str) -> str:
    """The id in cluster `cluster_id` of the copy of VM `source` (its id, or its name where a file has no ids)."""
    return str(uuid5(UUID(cluster_id), source))


def derived_mac(cluster_id: str, source: str, network: str) -> str:
    """A locally administered unicast MAC for one interface of that copy (IEEE 802: bit 1 set, bit 0 clear)."""
    octets = bytearray(uuid5(UUID(cluster_id), f"{source}/mac/{network}").bytes[:6])
    octets[0] = (octets[0] | 0x02) & 0xFE
    return ":".join(f"{octet:02x}" for octet in octets)


def unused_id(cluster_id: str, source: str, used: Collection[str]) -> str:
    """`derived_id`, or the next one in a fixed row when a VM here has it already (one that was renamed since)."""
    made = derived_id(cluster_id, source)
    turn = 2
    while made in used:
        made = derived_id(cluster_id, f"{source}#{turn}")
        turn += 1
    return made


def with_macs(vm: Vm, macs: Mapping[str, str | None]) -> Vm:
    """The VM with these MACs on the interfaces of these names."""
    networks = tuple(structs.replace(nic, mac=macs.get(nic.name, nic.mac)) for nic in vm.networks)
    return structs.replace(vm, networks=networks)
