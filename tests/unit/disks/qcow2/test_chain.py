"""Which files a backing chain may make us read, and what happens to their descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blixard.disks.backing import BackingPolicy
from blixard.disks.detect import open_reader
from blixard.disks.qcow2.chain import backing_path
from blixard.disks.qcow2.reader import Qcow2Reader
from blixard.errors import MalformedExport, StorageError
from blixard.limits import Limits
from blixard.model.structs import DiskFormat
from support.descriptors import no_descriptor_left
from support.disk_conformance import read_all, read_extents
from support.qcow2_builder import CLUSTER, GUEST_SIZE, ImageBuilder

QCOW2 = DiskFormat.QCOW2
BASE = bytes(range(256)) * (GUEST_SIZE // 256)


def overlay(folder: Path, name: bytes, image_format: bytes | None = b"raw") -> Path:
    """An image over `name`: three clusters of its own, then a zero cluster, then what is below."""
    folder.mkdir(exist_ok=True)
    return ImageBuilder().entry(3, 1).backing(name, image_format).save(folder / "over.qcow2")


def seen_through() -> bytes:
    own = b"".join(bytes([0x41 + n]) * CLUSTER for n in range(3))
    return own + bytes(CLUSTER) + BASE[4 * CLUSTER :]


def test_own_data_hides_what_is_below_and_so_do_zero_clusters(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(BASE)
    image = overlay(tmp_path, b"base")

    with no_descriptor_left(tmp_path), open_reader(image, QCOW2) as reader:
        assert read_all(reader) == read_extents(reader) == seen_through()
        assert [(e.offset, e.length) for e in reader.extents()] == [
            (0, 3 * CLUSTER),
            (4 * CLUSTER, GUEST_SIZE - 4 * CLUSTER),
        ]


def test_a_backing_file_elsewhere_needs_the_operators_folder(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(BASE)
    image = overlay(tmp_path / "vms", b"../base")

    with no_descriptor_left(tmp_path), pytest.raises(MalformedExport, match="not beneath"):
        open_reader(image, QCOW2)
    with open_reader(image, QCOW2, backing=BackingPolicy(folder=tmp_path)) as reader:
        assert read_all(reader) == seen_through()


def test_an_absolute_name_beneath_the_folder_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(BASE)
    image = overlay(tmp_path / "vms", os.fsencode(tmp_path / "base"))

    with open_reader(image, QCOW2, backing=BackingPolicy(folder=tmp_path)) as reader:
        assert read_all(reader) == seen_through()


def test_the_operators_folder_may_be_reached_through_a_symlink(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "base").write_bytes(BASE)
    overlay(real, b"base")
    (tmp_path / "link").symlink_to(real)

    with open_reader(tmp_path / "link" / "over.qcow2", QCOW2) as reader:
        assert read_all(reader) == seen_through()


def test_names_below_are_relative_to_the_image_that_names_them(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    middle = overlay(inner, b"base")
    (inner / "base").write_bytes(BASE)
    middle.rename(inner / "middle")
    image = overlay(tmp_path, b"inner/middle", b"qcow2")

    with open_reader(image, QCOW2) as reader:
        assert isinstance(reader, Qcow2Reader)
        assert reader.files == (image, inner / "middle", inner / "base")
        assert read_all(reader) == seen_through()


@pytest.mark.parametrize("magic", [b"", b"QFI\xfb"])
def test_a_format_that_is_not_named_is_guessed_only_when_allowed(magic: bytes, tmp_path: Path) -> None:
    if magic:
        ImageBuilder().save(tmp_path / "base")
    else:
        (tmp_path / "base").write_bytes(BASE)
    image = overlay(tmp_path, b"base", None)

    with pytest.raises(MalformedExport, match="does not name the format"):
        open_reader(image, QCOW2)
    with open_reader(image, QCOW2, backing=BackingPolicy(guess_format=True)) as reader:
        expected = seen_through() if not magic else seen_through()[: 4 * CLUSTER].ljust(GUEST_SIZE, b"\0")
        assert read_all(reader) == expected


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo"])
def test_what_is_no_file_below_is_a_storage_error_at_once(kind: str, tmp_path: Path) -> None:
    if kind == "folder":
        (tmp_path / "base").mkdir()
    if kind == "fifo":
        os.mkfifo(tmp_path / "base")
    image = overlay(tmp_path, b"base")

    with no_descriptor_left(tmp_path), pytest.raises(StorageError, match="base"):
        open_reader(image, QCOW2)


def test_a_refusal_deep_down_closes_everything_above(tmp_path: Path) -> None:
    ImageBuilder().fields(incompatible=2).save(tmp_path / "bottom")
    ImageBuilder().backing(b"bottom", b"qcow2").save(tmp_path / "middle")
    image = overlay(tmp_path, b"middle", b"qcow2")

    with no_descriptor_left(tmp_path), pytest.raises(MalformedExport, match="bottom` is marked corrupt"):
        open_reader(image, QCOW2)


def test_a_chain_of_sixteen_is_read_and_one_more_is_not(tmp_path: Path) -> None:
    (tmp_path / "n0").write_bytes(BASE)
    for n in range(1, 17):
        ImageBuilder().entry(3, 1).backing(b"n%d" % (n - 1), b"qcow2" if n > 1 else b"raw").save(tmp_path / f"n{n}")

    with open_reader(tmp_path / "n15", QCOW2) as reader:
        assert read_all(reader) == read_extents(reader) == seen_through()
    with no_descriptor_left(tmp_path), pytest.raises(MalformedExport, match="longer than 16"):
        open_reader(tmp_path / "n16", QCOW2)
    with open_reader(tmp_path / "n16", QCOW2, limits=Limits(qcow2_chain=17)) as reader:
        assert read_all(reader) == seen_through()


def test_a_write_below_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(BASE)

    with open_reader(overlay(tmp_path, b"base"), QCOW2) as reader:
        (tmp_path / "base").write_bytes(BASE[::-1])
        assert reader.changed()


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        (b"base", "/vms/web/base"),
        (b"./x//base", "/vms/web/x/base"),
        (b"../shared/base", "/vms/shared/base"),
        (b"/vms/base", "/vms/base"),
        (b"folder/a:b", "/vms/web/folder/a:b"),
        (b"\xff.img", "/vms/web/\udcff.img"),
    ],
)
def test_plain_names_are_resolved_by_text(name: bytes, resolved: str) -> None:
    assert backing_path(name, Path("/vms/web"), Path("/vms"), "x") == Path(resolved)


@pytest.mark.parametrize(
    "name", [b"..", b"../..", b"../../vms-evil/x", b"/vms", b"/vms-evil/x", b"/etc/passwd", b"a:b", b":", b"a\0b"]
)
def test_other_names_are_refused(name: bytes) -> None:
    with pytest.raises(MalformedExport):
        backing_path(name, Path("/vms/web"), Path("/vms"), "x")
