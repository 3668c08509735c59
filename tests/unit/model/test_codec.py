from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from blixard.errors import InvalidField
from blixard.limits import MIB, TIB
from blixard.model.codec import check_name, decode_node, decode_object, decode_vm, file_bytes, to_object
from blixard.model.structs import Disk, File, FileRole, Node, RaftState, Topology, Vm
from support.documents import node, uuid, vm

GIVEN = {"name": "web-1", "config_path": "/etc/vms/web-1.nix", "vcpus": 2, "memory": 512}
SEED = {"role": "seed", "name": "user-data"}


def test_a_vm_of_the_original_has_defaults_for_everything_else() -> None:
    assert decode_vm(GIVEN) == vm()


def test_unknown_keys_are_kept_and_come_back_where_they_were() -> None:
    given = {**GIVEN, "gpu": {"count": 1}, "disks": [{"name": "root", "size_bytes": 1, "iops": 5}]}
    decoded = decode_vm(given)

    assert decoded.unknown == {"gpu": {"count": 1}}
    assert decoded.disks[0].unknown == {"iops": 5}
    assert to_object(decoded)["gpu"] == {"count": 1}
    assert to_object(decoded)["disks"][0]["iops"] == 5
    assert "unknown" not in to_object(decoded)


def test_a_key_called_unknown_is_unknown_like_any_other() -> None:
    given = {**GIVEN, "unknown": [1], "networks": [{"name": "eth0", "unknown": {"a": 1}}]}
    decoded = decode_vm(given)

    assert decoded.unknown == {"unknown": [1]}
    assert to_object(decoded)["unknown"] == [1]
    assert to_object(decoded)["networks"][0]["unknown"] == {"a": 1}


def test_decoding_what_was_written_gives_the_same_vm() -> None:
    whole = vm(
        id=uuid(1),
        labels={"b": "1", "a": "2"},
        disks=(Disk(name="root", size_bytes=5, image=0),),
        files=(File(role=FileRole.SEED, name="user-data", text="ü"),),
        boot={"kernel": "/boot/x"},
        unknown={"z": 1, "a": {"c": 1, "b": 2}},
    )

    assert decode_vm(json.loads(json.dumps(to_object(whole)))) == whole


def test_the_same_content_gives_the_same_object_text_whatever_the_order_of_its_maps() -> None:
    one = vm(labels={"a": "1", "b": "2"}, unknown={"x": {"a": 1, "b": 2}, "w": 1})
    other = vm(labels={"b": "2", "a": "1"}, unknown={"w": 1, "x": {"b": 2, "a": 1}})

    assert json.dumps(to_object(one)) == json.dumps(to_object(other))


def test_an_object_has_the_models_order_of_keys_and_unknown_ones_behind() -> None:
    keys = list(to_object(node(unknown={"aaa": 1})))

    assert keys[:3] == ["id", "data_dir", "bind_addr"]
    assert keys[-1] == "aaa"


def test_fields_that_the_original_would_not_take_as_null_are_left_out() -> None:
    assert "topology" not in to_object(node())
    assert to_object(node(topology=Topology()))["topology"]["rack"] == "default-rack"


@pytest.mark.parametrize(
    ("change", "at", "problem"),
    [
        ({"vcpus": 0}, "vm.vcpus", "expected `int` >= 1"),
        ({"vcpus": 10**30}, "vm.vcpus", "expected `int` <= 4294967295"),
        ({"vcpus": True}, "vm.vcpus", "expected `int`, got `bool`"),
        ({"memory": None}, "vm.memory", "expected `int`, got `null`"),
        ({"name": "a/b"}, "vm.name", "expected `str` matching regex"),
        ({"name": "a\n"}, "vm.name", "expected `str` matching regex"),
        ({"node_id": 1 << 64}, "vm.node_id", "over 2^64-1"),
        ({"disks": 5}, "vm.disks", "expected `array`"),
        ({"disks": [5]}, "vm.disks[0]", "must be an object"),
        ({"disks": [{"size_bytes": 1}]}, "vm.disks[0].name", "is missing"),
        ({"disks": [{"name": "a", "size_bytes": 1, "x": 1}, {"name": "b"}]}, "vm.disks[1].size_bytes", "is missing"),
        ({"disks": [{"name": "a", "size_bytes": 65 * TIB}]}, "vm.disks[0].size_bytes", "disk_bytes"),
        ({"disks": [{"name": "a", "size_bytes": 1}] * 2}, "vm.disks", "`a` is there twice"),
        ({"networks": [{"name": "a"}] * 2}, "vm.networks", "`a` is there twice"),
        ({"files": [{**SEED, "text": ""}] * 2}, "vm.files", "is there twice"),
        ({"files": [{**SEED, "text": "", "image": 0}]}, "vm.files[0]", "`text` and `image`"),
        ({"files": [{**SEED, "base64": "a"}]}, "vm.files[0].base64", "is not base64"),
        ({"files": [{**SEED, "base64": "ü"}]}, "vm.files[0].base64", "is not base64"),
        ({"files": [{**SEED, "text": "x" * (MIB + 1)}]}, "vm.files[0]", "inline_file_bytes"),
        ({"files": [{**SEED, "text": "x", "size_bytes": 2}]}, "vm.files[0].size_bytes", "has 1 bytes"),
        ({"unknown": 1, "priority": 1001, "y": 2}, "vm.priority", "<= 1000"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], at: str, problem: str) -> None:
    with pytest.raises(InvalidField) as caught:
        decode_vm({**GIVEN, **change})

    assert caught.value.path == at
    assert problem in caught.value.problem


@pytest.mark.parametrize("given", [None, [], "vm", 5])
def test_what_is_no_object_is_said(given: Any) -> None:
    with pytest.raises(InvalidField, match="must be an object"):
        decode_vm(given)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidField) as caught:
        decode_vm({key: value for key, value in GIVEN.items() if key != "memory"}, "vms.web-1")

    assert caught.value.path == "vms.web-1.memory"


def test_node_ids_are_u64() -> None:
    given = to_object(node())

    assert decode_node({**given, "id": 2**64 - 1}).id == 2**64 - 1
    with pytest.raises(InvalidField, match="over 2"):
        decode_node({**given, "id": 2**64})


def test_a_struct_without_a_place_for_unknown_keys_drops_them() -> None:
    assert decode_object({"term": 4, "newer": 1}, RaftState, "raft_state") == RaftState(term=4)


def test_the_bytes_of_a_file_are_its_text_or_its_base64() -> None:
    assert file_bytes(File(role=FileRole.SEED, name="a", text="ü")) == "ü".encode()
    assert file_bytes(File(role=FileRole.SEED, name="a", base64="AP8=")) == b"\x00\xff"
    assert file_bytes(File(role=FileRole.SEED, name="a", image=0)) is None


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "0" * 63])
def test_a_name_is_letters_digits_and_three_signs(name: str) -> None:
    assert check_name(name, "cluster_name") == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a/b", "..", "a b", "a\n", "ä", "a" * 64, "a\0"])
def test_anything_else_is_no_name(name: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_name(name, "cluster_name")

    assert caught.value.path == "cluster_name"


@pytest.mark.parametrize("kind", [Vm, Node, Disk])
def test_a_struct_that_keeps_unknown_keys_is_not_decoded_past_the_codec(kind: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"certainly": "unknown"}, kind)
