"""A saved plan is applied exactly, or not at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from blixard.errors import Conflict, DigestMismatch, MalformedExport, UnsupportedVersion
from blixard.plan.importing import plan_import
from blixard.plan.options import ImportOptions, Mode
from blixard.plan.rules import Rules
from blixard.plan.saved import check_saved, decode_plan, encode_plan
from support.documents import disk, node
from support.planning import HERE, THERE, cluster, document, vm

OPTIONS = ImportOptions(rules=Rules(prefix="p-", map_node={2: 1}, sets=(("/vms/p-b/labels", {"x": 1.5e300}),)))
PLAN = plan_import(
    cluster(vm("p-a", 1), vm("gone", 5), nodes=[node(1, topology=msgspec.UNSET)]),
    document(vm("a", 1, vcpus=9), vm("b", 2, node_id=2, disks=(disk(image=0),)), cluster_id=THERE),
    ImportOptions(rules=Rules(prefix="p-", map_node={2: 1})),
)
DOCUMENT = "d" * 64


def edited(**fields: Any) -> bytes:
    saved = json.loads(encode_plan(PLAN, OPTIONS, DOCUMENT))
    return json.dumps({**saved, **fields}).encode()


def test_a_plan_comes_back_as_it_was() -> None:
    saved = decode_plan(encode_plan(PLAN, OPTIONS, DOCUMENT))

    assert check_saved(saved, document=DOCUMENT, options=OPTIONS, revision=7, cluster_id=HERE) == PLAN


@pytest.mark.parametrize(
    ("moved", "named"),
    [
        ({"document": "e" * 64}, "the file is another one"),
        ({"options": ImportOptions(mode=Mode.MERGE)}, "the rules or options are others"),
        ({"revision": 8}, "the state is at revision 8, not 7"),
        ({"cluster_id": THERE}, "the cluster is another one"),
    ],
)
def test_a_plan_is_refused_when_anything_has_moved(moved: dict[str, Any], named: str) -> None:
    bound: dict[str, Any] = {"document": DOCUMENT, "options": OPTIONS, "revision": 7, "cluster_id": HERE}

    with pytest.raises(Conflict, match=named):
        check_saved(decode_plan(encode_plan(PLAN, OPTIONS, DOCUMENT)), **{**bound, **moved})


def test_an_edited_plan_is_no_plan() -> None:
    saved = json.loads(encode_plan(PLAN, OPTIONS, DOCUMENT))
    saved["plan"]["vms"][0]["name"] = "other"

    with pytest.raises(DigestMismatch):
        decode_plan(json.dumps(saved).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format":"blixard-plan","version":1}', edited(plan={})])
def test_what_is_no_plan_file_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedExport, match="not a plan file"):
        decode_plan(data)


def test_a_plan_file_of_a_newer_blixard_is_refused() -> None:
    with pytest.raises(UnsupportedVersion):
        decode_plan(edited(version=2))


def test_a_reformatted_plan_file_is_still_the_plan() -> None:
    assert decode_plan(edited()).plan == PLAN
