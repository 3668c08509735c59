from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from blixard.errors import Locked
from blixard.ops.keeping.gc import GcOptions, collect
from blixard.ops.vm.create import create_vm
from blixard.ops.vm.edit import delete_vm
from blixard.ops.vm.specs import DiskSpec, VmSpec
from blixard.plan.retention import UndoPolicy
from blixard.ports import ImportRow
from blixard.site.open_cluster import OpenCluster
from blixard.site.who import Policy
from support.clusters import StillClock, Watched, a_cluster


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def opened(tmp_path: Path, clock: StillClock) -> Iterator[OpenCluster]:
    policy = Policy(undo=UndoPolicy(keep=2, max_age=timedelta(days=30)))
    with a_cluster(tmp_path / "data", clock=clock, policy=policy) as cluster:
        yield cluster


def make(opened: OpenCluster, tmp_path: Path, name: str) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(b"x" * 50_000)
    create_vm(opened, VmSpec(name=name, disks=(DiskSpec(path=image, name="root"),)), Watched())


def stage(opened: OpenCluster, key: str) -> Path:
    folder = opened.directory.incoming / key
    folder.mkdir()
    (folder / "0.raw").write_bytes(b"staged" * 1000)
    opened.books.begin_import(ImportRow(id=f"import-{key}", key=key, started_at=opened.clock.now()))
    return folder


def disks_of(opened: OpenCluster) -> list[str]:
    return sorted(path.name for path in opened.directory.disks.iterdir() if path.is_file())


def test_what_nobody_names_goes_and_what_a_vm_or_undo_names_stays(opened: OpenCluster, tmp_path: Path) -> None:
    make(opened, tmp_path, "live")
    make(opened, tmp_path, "deleted")
    delete_vm(opened, "deleted")
    before = disks_of(opened)
    (opened.directory.disks / "nobody.raw").write_bytes(b"x" * 5000)
    (opened.directory.undo / "nobody.raw").write_bytes(b"x" * 5000)

    report = collect(opened, GcOptions())

    assert [(each.kind, each.name) for each in report.freed] == [("file", "nobody.raw")] * 2
    assert report.size_bytes >= 10_000
    assert disks_of(opened) == before
    assert not (opened.directory.undo / "nobody.raw").exists()


def test_a_dry_run_touches_nothing(opened: OpenCluster) -> None:
    left = opened.directory.disks / "nobody.raw"
    left.write_bytes(b"x")
    entries = len(opened.history.entries())

    report = collect(opened, GcOptions(dry_run=True))

    assert [each.name for each in report.freed] == ["nobody.raw"]
    assert left.exists()
    assert len(opened.history.entries()) == entries


def test_staged_content_waits_for_seven_days(opened: OpenCluster, clock: StillClock) -> None:
    folder = stage(opened, "k1")
    clock.pass_by(timedelta(days=7))

    report = collect(opened, GcOptions())
    assert [each.name for each in report.kept] == ["k1"]
    assert folder.exists()

    clock.pass_by(timedelta(seconds=1))
    collect(opened, GcOptions())
    assert not folder.exists()
    assert opened.books.imports() == ()


def test_staged_content_goes_at_once_on_demand(opened: OpenCluster) -> None:
    folder = stage(opened, "k1")

    report = collect(opened, GcOptions(staged=True))

    assert [(each.kind, each.name) for each in report.freed] == [("staged", "k1")]
    assert not folder.exists()


def test_staged_content_of_an_import_that_is_forgotten_does_not_wait(opened: OpenCluster, tmp_path: Path) -> None:
    folder = stage(opened, "k1")
    opened.books.forget_import("import-k1")
    left = stage(opened, "k2")

    told = collect(opened, GcOptions(dry_run=True))
    make(opened, tmp_path, "any")  # each command that writes sweeps

    assert [(each.kind, each.name) for each in told.freed] == [("staged", "k1")]
    assert [each.name for each in told.kept] == ["k2"]
    assert (folder.exists(), left.exists()) == (False, True)


def test_files_that_an_import_under_way_will_name_stay(opened: OpenCluster) -> None:
    named = opened.directory.disks / "web-1-root-abc.raw"
    named.write_bytes(b"x")
    row = ImportRow(id="i", key="k", started_at=opened.clock.now(), files=(named.name,))
    (opened.directory.incoming / "k").mkdir()
    opened.books.begin_import(row)

    collect(opened, GcOptions())

    assert named.exists()


def test_undo_entries_past_their_time_go_with_their_files(
    opened: OpenCluster, tmp_path: Path, clock: StillClock
) -> None:
    make(opened, tmp_path, "old")
    delete_vm(opened, "old")
    clock.pass_by(timedelta(days=31))

    report = collect(opened, GcOptions())

    assert [(each.kind, each.why) for each in report.freed] == [("undo", "VM `old` deleted")]
    assert report.size_bytes >= 49_152
    assert opened.store.undo_entries() == ()
    assert disks_of(opened) == []


def test_pinned_entries_stay(opened: OpenCluster, tmp_path: Path, clock: StillClock) -> None:
    make(opened, tmp_path, "old")
    delete_vm(opened, "old")
    opened.store.pin_undo(1, pinned=True)
    clock.pass_by(timedelta(days=400))

    collect(opened, GcOptions())

    assert len(disks_of(opened)) == 1


def test_nothing_goes_while_somebody_is_at_work(opened: OpenCluster) -> None:
    left = opened.directory.disks / "nobody.raw"
    left.write_bytes(b"x")

    with opened.locks.editing("vm create"), pytest.raises(Locked, match="vm create"):
        collect(opened, GcOptions())
    with opened.locks.exporting("cluster export"), pytest.raises(Locked, match="cluster export"):
        collect(opened, GcOptions())

    assert left.exists()
