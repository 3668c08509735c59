"""Many VMs from one piece of text, as structs at once: no dict is made of what says nothing that its struct does not.

A dict of a VM takes three times the memory of its struct, and making both takes twice the time. Structs know no absent,
unknown or duplicate key; but a text that is letter for letter what its structs are written as has none of these.
"""

from __future__ import annotations

from typing import Any

import msgspec

from blixard.format.strict_json import has_long_number, parse_members_fast
from blixard.model.canonical import DoubleFoundError, canonical, double_found
from blixard.model.codec import has_free_values
from blixard.model.structs import Vm

_decode = msgspec.json.Decoder(dict[str, Vm], float_hook=double_found).decode
_encode = msgspec.json.Encoder(order="deterministic").encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_TYPED_LEVELS = 3
"""Containers of a VM without free values: itself, a list, an item of it."""
_LONGEST_PAUSE = 64


class VmWindows:
    """Reads the windows of one document. A writer with other habits costs a try at one window of 64, not at each."""

    def __init__(self) -> None:
        self._pause = 0
        self._waiting = 0

    def parse(self, text: bytes, levels: int) -> list[tuple[str, Vm | Any, bytes]] | None:
        """As `parse_members_fast`, but each value is a `Vm` where that says all that the text says."""
        if self._waiting:
            self._waiting -= 1
            return parse_members_fast(text, levels)
        found = parse_vms(text, levels)
        if found is not None:
            self._pause = 0
            return found
        self._pause = self._waiting = min(2 * self._pause + 1, _LONGEST_PAUSE)
        return parse_members_fast(text, levels)


def parse_vms(text: bytes, levels: int) -> list[tuple[str, Vm, bytes]] | None:
    """The VMs of an object, each with its name and its canonical form; None when it is not proven that they say all.

    It is also None when a VM may have more than so many `levels` of containers.
    """
    try:
        vms = _decode(text)
        written = _encode(vms)
    except (ValueError, RecursionError, DoubleFoundError):
        return None
    bare = msgspec.json.format(text, indent=-1)
    # a kept unknown key stands in a field of that name, which no document has
    if written != bare or b'"unknown":' in bare or has_long_number(bare):
        return None
    form = _encode_sorted if bare.isascii() else canonical
    found = [(name, vm, form(vm)) for name, vm in vms.items()]
    if levels >= _TYPED_LEVELS and not any(map(has_free_values, vms.values())):
        return found
    if any(each.count(b"{") + each.count(b"[") > levels for _, _, each in found):
        return None
    return found
