import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from blixard import files
from blixard.errors import Conflict, InvalidField, Locked, NotFound, StorageError
from blixard.home import ClusterDir, Home
from blixard.model.structs import ContentKey, ContentKind, DesiredState, DiskFormat, FileRole, Network
from blixard.ops.keeping.leftovers import unnamed_files
from blixard.ops.vm.create import VmMade, create_vm
from blixard.ops.vm.edit import delete_vm
from blixard.ops.vm.specs import DiskSpec, FileSpec, VmSpec
from blixard.site.open_cluster import OpenCluster
from support.clusters import Watched, a_cluster, reopen
from support.faults import FailAt, killed_at, operations


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenCluster]:
    with a_cluster(tmp_path / "data") as cluster:
        yield cluster


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(b"head" + bytes(200_000) + b"tail" * 1000)
    return path


def make(opened: OpenCluster, name: str = "web-1", **fields: Any) -> VmMade:
    parts = {each: fields.pop(each) for each in ("disks", "files", "networks", "image_in_place") if each in fields}
    return create_vm(opened, VmSpec(name=name, fields=fields, **parts), Watched())


def disk(path: Path, name: str = "root", **fields: Any) -> DiskSpec:
    return DiskSpec(path=path, name=name, **fields)


def files_of(opened: OpenCluster) -> list[Path]:
    return sorted(path for path in opened.directory.disks.iterdir() if path.is_file())


def test_every_field_arrives_in_the_state(opened: OpenCluster) -> None:
    network = Network(name="lan", bridge="br0", mac="52:54:00:00:00:01", ip="10.0.0.9")

    made = make(
        opened,
        vcpus=4,
        memory=2048,
        config_path="/etc/vm.nix",
        tenant_id="t1",
        ip_address="10.0.0.8",
        priority=900,
        metadata={"owner": "ops"},
        labels={"tier": "front"},
        desired_state=DesiredState.RUNNING,
        networks=(network,),
    )

    vm = opened.snapshot().vms["web-1"]
    assert vm == made.vm
    assert (vm.vcpus, vm.memory, vm.config_path, vm.tenant_id) == (4, 2048, "/etc/vm.nix", "t1")
    assert (vm.ip_address, vm.priority, vm.metadata, vm.labels) == (
        "10.0.0.8",
        900,
        {"owner": "ops"},
        {"tier": "front"},
    )
    assert (vm.desired_state, vm.hold, vm.node_id) == (DesiredState.RUNNING, None, 1)
    assert vm.networks[0].mac == "52:54:00:00:00:01"


def test_labels_and_metadata_stay_in_the_order_in_which_they_were_given(opened: OpenCluster) -> None:
    made = make(opened, labels={"tier": "a", "site": "b"}, metadata={"z": "1", "a": "2"})

    assert [list(made.vm.labels or {}), list(made.vm.metadata or {})] == [["tier", "site"], ["z", "a"]]


def test_a_disk_is_copied_and_named_by_the_state(opened: OpenCluster, image: Path) -> None:
    made = make(opened, disks=(disk(image, bus="scsi", boot_index=1),))

    snapshot = opened.snapshot()
    content = snapshot.contents[ContentKey(made.vm.id or "", ContentKind.DISK, "root")]
    assert content.file is not None
    copy = opened.directory.disks / content.file
    assert copy.read_bytes() == image.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert (made.vm.disks[0].size_bytes, made.vm.disks[0].format) == (image.stat().st_size, DiskFormat.RAW)
    assert (made.vm.disks[0].bus, made.vm.disks[0].boot_index, made.vm.disks[0].source) == ("scsi", 1, str(image))
    assert made.copied_bytes == image.stat().st_size


def test_a_hole_stays_a_hole(opened: OpenCluster, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.raw"
    with sparse.open("wb") as file:
        file.truncate(64 << 20)

    make(opened, disks=(disk(sparse),))

    (copy,) = files_of(opened)
    assert copy.stat().st_size == 64 << 20
    assert copy.stat().st_blocks * 512 < 1 << 20


def test_a_small_text_file_is_readable_in_the_state(opened: OpenCluster, tmp_path: Path) -> None:
    (tmp_path / "vm.nix").write_text("{ services = 1; }")

    made = make(opened, files=(FileSpec(role=FileRole.CONFIG, path=tmp_path / "vm.nix", name="vm.nix"),))

    (file,) = made.vm.files
    assert (file.text, file.base64, file.size_bytes) == ("{ services = 1; }", UNSET, 17)
    assert files_of(opened) == []


def test_a_small_binary_file_is_base64(opened: OpenCluster, tmp_path: Path) -> None:
    (tmp_path / "seed").write_bytes(b"\xff\x00")

    made = make(opened, files=(FileSpec(role=FileRole.SEED, path=tmp_path / "seed", name="seed"),))

    assert made.vm.files[0].base64 == "/wA="


def test_a_large_file_is_content(opened: OpenCluster, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"k" * ((1 << 20) + 1))

    made = make(opened, files=(FileSpec(role=FileRole.KERNEL, path=tmp_path / "kernel", name="kernel"),))

    content = opened.snapshot().contents[ContentKey(made.vm.id or "", ContentKind.FILE, "kernel")]
    assert not made.vm.files[0].inline
    assert content.size_bytes == (1 << 20) + 1


def test_a_disk_in_place_is_not_copied_and_belongs_to_one_vm(opened: OpenCluster, image: Path) -> None:
    make(opened, disks=(disk(image),), image_in_place=True)

    assert files_of(opened) == []
    with pytest.raises(Conflict, match="web-1"):
        make(opened, name="web-2", disks=(disk(image),), image_in_place=True)
    assert "web-2" not in opened.snapshot().vms


def test_a_disk_in_place_is_free_again_when_its_vm_is_deleted(opened: OpenCluster, image: Path) -> None:
    make(opened, disks=(disk(image),), image_in_place=True)
    delete_vm(opened, "web-1")

    make(opened, name="web-2", disks=(disk(image),), image_in_place=True)

    assert image.exists()


def test_a_read_only_disk_in_place_may_be_shared(opened: OpenCluster, image: Path) -> None:
    for name in ("web-1", "web-2"):
        make(opened, name=name, disks=(disk(image, read_only=True),), image_in_place=True)

    assert len(opened.snapshot().vms) == 2


def test_a_file_of_a_cluster_cannot_be_taken_in_place(opened: OpenCluster, image: Path) -> None:
    make(opened, disks=(disk(image),))

    with pytest.raises(Conflict, match="belongs to cluster"):
        make(opened, name="thief", disks=(disk(files_of(opened)[0]),), image_in_place=True)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "a/b"}, "vm.name"),
        ({"vcpus": 0}, r"vm\.web-1\.vcpus"),
        ({"memory": 0}, r"vm\.web-1\.memory"),
        ({"cpus": 1}, r"vm\.web-1\.cpus"),
        ({"hold": None}, r"vm\.web-1\.hold"),
        ({"priority": 1001}, r"vm\.web-1\.priority"),
        ({"ip_address": "300.0.0.1"}, r"vm\.web-1\.ip_address"),
        ({"networks": (Network(name="lan", mac="01:00:00:00:00:01"),)}, r"networks\.lan\.mac"),
        ({"networks": (Network(name="lan", mac="zz"),)}, r"networks\.lan\.mac"),
        ({"networks": (Network(name="lan", bridge="way-too-long-for-a-bridge"),)}, r"networks\.lan\.bridge"),
        ({"networks": (Network(name="lan", ip="x"),)}, r"networks\.lan\.ip"),
        ({"networks": (Network(name="lan"), Network(name="lan"))}, r"networks.*twice"),
        ({"disks": (disk(Path("/x")), disk(Path("/y")))}, r"disks.*twice"),
        ({"disks": (disk(Path("/x"), bus="floppy"),)}, r"disks\.root\.bus"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named_before_anything_is_copied(
    opened: OpenCluster, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidField, match=named):
        make(opened, **fields)

    assert files_of(opened) == []
    assert opened.snapshot().vms == {}


def test_a_taken_name_is_a_conflict_before_anything_is_copied(opened: OpenCluster, image: Path) -> None:
    make(opened)
    progress = Watched()

    with pytest.raises(Conflict, match="`web-1`"):
        create_vm(opened, VmSpec(name="web-1", disks=(disk(image),)), progress)

    assert progress.tasks == []


def test_an_unknown_node_is_not_found(opened: OpenCluster) -> None:
    with pytest.raises(NotFound, match="no node 9"):
        make(opened, node_id=9)


def test_a_disk_that_is_not_there_leaves_nothing_of_the_others(opened: OpenCluster, image: Path) -> None:
    with pytest.raises(StorageError, match="/nowhere"):
        make(opened, disks=(disk(image), disk(Path("/nowhere"), "data")))

    assert files_of(opened) == []
    assert opened.history.entries(limit=1)[0].entry.exit_code == 30


def check_whole(opened: OpenCluster) -> None:
    """The state decides: a file without a VM is a leftover, a VM without its file never is."""
    snapshot = opened.snapshot()
    assert len(snapshot.contents) == len(snapshot.vms)
    assert all((opened.directory.disks / (each.file or "")).exists() for each in snapshot.contents.values())


def test_a_failure_at_any_operation_leaves_no_vm_and_no_file(tmp_path: Path, image: Path) -> None:
    with a_cluster(tmp_path / "data") as opened:
        count = len(operations(lambda: make(opened, disks=(disk(image),))))

    for number in range(count):
        with a_cluster(tmp_path / f"data{number}") as opened:
            with files.observe(FailAt(number, errno.EIO)):
                try:
                    make(opened, disks=(disk(image),))
                except StorageError:
                    assert unnamed_files(opened) == []
            check_whole(opened)


def test_a_kill_at_any_operation_leaves_a_whole_state_that_the_next_command_tidies(tmp_path: Path, image: Path) -> None:
    number = 0
    while True:
        with a_cluster(tmp_path / f"data{number}") as opened:
            home, directory = opened.home, opened.directory

        def create(home: Home = home, directory: ClusterDir = directory) -> None:
            with reopen(home, directory) as child:
                make(child, disks=(disk(image),))

        was_killed = killed_at(number, create)
        with reopen(home, directory) as after:
            make(after, name="next")
            assert unnamed_files(after) == []
            snapshot = after.snapshot()
            assert len(snapshot.contents) == len(snapshot.vms) - 1
        if not was_killed:
            break
        number += 1
    assert number > 10


def test_what_a_kill_left_is_swept_by_the_next_command_that_writes(opened: OpenCluster) -> None:
    left = opened.directory.disks / "web-1-root-0123456789ab.raw"
    left.write_bytes(b"half a copy")

    make(opened)

    assert not left.exists()


def test_nothing_is_swept_while_another_command_is_at_work(opened: OpenCluster) -> None:
    being_copied = opened.directory.disks / "other-root-0123456789ab.raw"
    being_copied.write_bytes(b"half a copy")

    with opened.locks.editing("vm create"):
        make(opened)

    assert being_copied.exists()


def test_an_import_at_work_locks_it_out(opened: OpenCluster) -> None:
    with opened.locks.alone("cluster import"), pytest.raises(Locked, match="cluster import"):
        make(opened)


def test_ten_at_once_all_succeed(opened: OpenCluster) -> None:
    others = [reopen(opened.home, opened.directory) for _ in range(3)]
    snapshots_before = opened.snapshot().revision
    interleaved = iter(others)
    real = opened.store.snapshot

    def moved_meanwhile() -> Any:
        seen = real()
        for other in interleaved:
            make(other, name=f"other-{id(other)}")
            break
        return seen

    opened.store.snapshot = moved_meanwhile  # type: ignore[method-assign]

    make(opened)

    assert len(real().vms) == 4
    assert real().revision == snapshots_before + 4
    for other in others:
        other.close()


def test_the_history_names_the_vm_but_no_metadata_value(opened: OpenCluster) -> None:
    make(opened, metadata={"password": "s3cret"})

    entry = opened.history.entries(limit=1)[0].entry
    assert (entry.verb, entry.options["vm"], entry.exit_code) == ("vm create", "web-1", 0)
    assert "s3cret" not in str(entry.options)


@pytest.mark.parametrize("in_place", [False, True])
def test_an_interrupt_behind_the_transaction_takes_nothing_back(
    opened: OpenCluster, image: Path, monkeypatch: pytest.MonkeyPatch, *, in_place: bool
) -> None:
    edit = OpenCluster.edit

    def interrupted(*given: Any, **options: Any) -> None:
        edit(*given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(OpenCluster, "edit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(opened, disks=[disk(image)], image_in_place=in_place)

    [content] = opened.snapshot().contents.values()
    assert opened.directory.content_path(content).read_bytes() == image.read_bytes()
    assert (opened.home.registry().writer_of(image) is not None) == in_place
