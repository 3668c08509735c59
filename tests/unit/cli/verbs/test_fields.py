from pathlib import Path

import pytest

from blixard.cli.verbs.fields import disk_specs, file_specs, network_specs
from blixard.cli.verbs.memory import megabytes
from blixard.cli.verbs.vm_options import FIELDS
from blixard.errors import InvalidField, UsageError
from blixard.model.structs import DiskFormat, FileRole, Network
from blixard.ops.vm.specs import SETTABLE, DiskSpec, FileSpec


def test_disks_get_names_when_nobody_says() -> None:
    specs = disk_specs(("/a.img", "/b.img", "/c.img,name=data"))

    assert [each.name for each in specs] == ["root", "disk2", "data"]


def test_every_field_of_a_disk() -> None:
    (spec,) = disk_specs(("/a.img,name=d,format=qcow2,bus=scsi,boot-index=2,read-only=on",))

    assert spec == DiskSpec(
        path=Path("/a.img"), name="d", format=DiskFormat.QCOW2, bus="scsi", boot_index=2, read_only=True
    )


def test_a_doubled_comma_is_one_in_the_path() -> None:
    (spec,) = disk_specs(("/images/a,,b.img,name=d",))

    assert spec.path == Path("/images/a,b.img")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/a,size=1", "`size=1` is not a field"),
        ("/a,name", "`name` is not a field"),
        ("/a,name=x,name=y", "twice"),
        (",name=x", "names no path"),
        ("/a,format=vmdk", "'vmdk' is not a format"),
        ("/a,boot-index=-1", "'-1' is not a number"),
        ("/a,boot-index=٣", "is not a number"),
        ("/a,read-only=maybe", "neither"),
    ],
)
def test_a_disk_that_makes_no_sense_is_told_why(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        disk_specs((text,))


def test_files_have_roles() -> None:
    specs = file_specs(("config=/etc/vm.nix", "kernel=/boot/vmlinuz,name=k"))

    assert specs == (
        FileSpec(role=FileRole.CONFIG, path=Path("/etc/vm.nix"), name="vm.nix"),
        FileSpec(role=FileRole.KERNEL, path=Path("/boot/vmlinuz"), name="k"),
    )


@pytest.mark.parametrize("text", ["/etc/vm.nix", "sauce=/x", "config="])
def test_a_file_without_a_known_role_is_told_the_roles(text: str) -> None:
    with pytest.raises(UsageError, match="ROLE=PATH") as caught:
        file_specs((text,))

    assert "`nvram`" in str(caught.value.hint)


def test_a_mac_is_lower_case_inside() -> None:
    assert network_specs(("lan,bridge=br0,mac=52:54:00:AA:00:01,ip=10.0.0.1,network=n",)) == (
        Network(name="lan", bridge="br0", mac="52:54:00:aa:00:01", ip="10.0.0.1", network="n"),
    )


@pytest.mark.parametrize(
    ("text", "memory"), [("2048", 2048), ("2048MB", 2048), ("2GB", 2000), ("1000MiB", None), ("x", None)]
)
def test_memory_is_whole_megabytes(text: str, memory: int | None) -> None:
    if memory is not None:
        assert megabytes(text) == memory
        return
    with pytest.raises(InvalidField, match=r"vm\.memory"):
        megabytes(text)


def test_a_field_of_a_vm_has_one_option_and_the_models_name() -> None:
    named = [each.field for each in FIELDS]

    assert len(set(named)) == len(named)
    assert set(named) <= SETTABLE
