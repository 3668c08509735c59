from __future__ import annotations

import json

import msgspec
import pytest

from blixard.format.strict_json import parse_members_fast
from blixard.format.vm_windows import VmWindows, parse_vms
from blixard.model.codec import to_object
from blixard.model.structs import Disk
from support.documents import vm

BOTH = {name: to_object(vm(name=name, labels={"b": "1", "a": "2"})) for name in ("a", "b")}
TEXT = json.dumps(BOTH, indent=2).encode()
LEVELS = 60


def test_vms_come_as_structs_with_the_canonical_forms_of_their_text() -> None:
    found = parse_vms(TEXT, LEVELS)

    assert found is not None
    assert [(name, to_object(each), form) for name, each, form in found] == parse_members_fast(TEXT, LEVELS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"boot": null', b'"boot": null, "boot": null'),
        (b'"boot": null', b'"boot": null, "colour": "red"'),
        (b'"boot": null', b'"boot": null, "unknown": {}'),
        (b',\n    "boot": null', b""),
        (b'"hold": null,\n    "untrusted": []', b'"untrusted": [],\n    "hold": null'),
        (b'"boot": null', b'"boot": {"delay": 1.0}'),
        (b'"boot": null', b'"boot": {"delay": %b}' % (b"1" * 70)),
        (b'"boot": null', b'"boot": %b%b' % (b'{"a":' * 60, b"{}" + b"}" * 60)),
        (b'"a": {', b'"b": {'),
        (b'"default"', b'"defaul\\u0074"'),
        (b'"vcpus": 2', b'"vcpus": 0'),
    ],
)
def test_a_text_that_says_anything_else_is_left_to_the_dicts(old: bytes, new: bytes) -> None:
    assert old in TEXT

    assert parse_vms(TEXT.replace(old, new, 1), LEVELS) is None


def test_no_vm_has_more_levels_than_are_allowed() -> None:
    networked = json.dumps({"a": to_object(vm(name="a"))}).encode()

    assert parse_vms(networked, 20) is not None
    assert parse_vms(networked, 2) is None


def test_an_odd_window_is_read_as_dicts_and_those_after_it_as_structs_again() -> None:
    odd, windows = TEXT.replace(b'"boot": null', b'"boot": 1.5'), VmWindows()

    kinds = [type((windows.parse(text, LEVELS) or [("", None, b"")])[0][1]) for text in (TEXT, odd, TEXT, TEXT)]

    assert [kind.__name__ for kind in kinds] == ["Vm", "NoneType", "dict", "Vm"]


@pytest.mark.parametrize("field", ["size_bytes", "boot_index"])
def test_a_number_that_is_too_long_is_left_to_the_dicts_in_whatever_field(field: str) -> None:
    disk: dict[str, object] = {"name": "root", "size_bytes": 1, "boot_index": 1}
    long = to_object(vm(name="b", disks=(msgspec.convert({**disk, field: 10**70}, Disk),)))
    fine = to_object(vm(name="b", disks=(msgspec.convert(disk, Disk),)))

    found = [parse_vms(json.dumps({"a": BOTH["a"], "b": each}, indent=2).encode(), LEVELS) for each in (long, fine)]

    assert found[0] is None
    assert found[1] is not None
