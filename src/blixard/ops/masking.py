"""A document on its way out, masked or not: what `--redact` takes out, and the file that keeps it.

Masking works on JSON objects, because its rules are paths and patterns; the result is decoded again, so that what is
written is as valid as everything else.
"""

from __future__ import annotations

from msgspec import Struct

from blixard.model.structs import ExportHead, Vm


class Masked(Struct, frozen=True):
    """Head and VMs as they will be written."""

    head: ExportHead
    vms: tuple[Vm, ...]


def unmasked(head: ExportHead, vms: tuple[Vm, ...]) -> Masked:
    """Everything as it is."""
    return Masked(head, vms)
