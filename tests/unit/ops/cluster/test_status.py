from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from blixard.errors import ExitCode
from blixard.model.structs import ContentKey, ContentKind, DesiredState, Hold
from blixard.ops.cluster.history import HistoryOptions, history
from blixard.ops.cluster.status import cluster_status, freshness
from blixard.ops.vm.create import create_vm
from blixard.ops.vm.edit import delete_vm
from blixard.ops.vm.specs import DiskSpec, VmSpec
from blixard.ports import ImportRow, StateChange
from blixard.site.open_cluster import OpenCluster
from support.clusters import StillClock, Watched, a_cluster

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def opened(tmp_path: Path, clock: StillClock) -> Iterator[OpenCluster]:
    with a_cluster(tmp_path / "data", clock=clock) as cluster:
        yield cluster


def exported(opened: OpenCluster, code: ExitCode = ExitCode.DONE, **more: Any) -> None:
    options = {
        "images": more.pop("images", False),
        "telemetry": more.pop("telemetry", False),
        **more.pop("options", {}),
    }
    opened.note("cluster export", options, code, place="/backup/x.json.gz", document="ab" * 32, **more)


def make(opened: OpenCluster, tmp_path: Path, name: str = "web-1", **fields: Any) -> str:
    image = tmp_path / "image.raw"
    image.write_bytes(b"x" * 100_000)
    vm = create_vm(opened, VmSpec(name=name, disks=(DiskSpec(path=image, name="root"),), fields=fields), Watched()).vm
    return vm.id or ""


def test_an_empty_cluster_has_a_status(opened: OpenCluster) -> None:
    seen = cluster_status(opened)

    assert (seen.name, seen.store, seen.leader_id, seen.term, seen.vms.total) == ("lab", "sqlite", 1, 0, 0)
    assert (seen.last_export, seen.last_import, seen.undo.entries) == (None, None, 0)
    assert [(node.id, node.here) for node in seen.nodes] == [(1, True)]


def test_vms_count_by_what_is_wanted_and_what_keeps_them(opened: OpenCluster, tmp_path: Path) -> None:
    make(opened, tmp_path, "a", desired_state=DesiredState.RUNNING)
    missing = make(opened, tmp_path, "b")
    vm = structs.replace(opened.snapshot().vms["b"], hold=Hold.IMPORTED, untrusted=("/boot",))
    gone = ContentKey(missing, ContentKind.DISK, "root")
    opened.edit("test", {}, lambda _snapshot: StateChange(put_vms=(vm,), delete_contents=(gone,)))

    seen = cluster_status(opened)

    assert (seen.vms.running, seen.vms.stopped, seen.vms.held, seen.vms.untrusted) == (1, 1, {"imported": 1}, 1)
    assert seen.vms.without_content == ("b/root",)
    assert (seen.disks.count, seen.disks.virtual_bytes) == (1, 100_000)
    assert seen.disks.live_bytes >= 98_304


def test_deleted_disks_count_as_undo(opened: OpenCluster, tmp_path: Path) -> None:
    make(opened, tmp_path)
    delete_vm(opened, "web-1")

    seen = cluster_status(opened)

    assert seen.disks.live_bytes == 0
    assert seen.disks.undo_bytes >= 98_304
    assert (seen.undo.entries, seen.undo.title) == (1, "VM `web-1` deleted")


def test_the_last_export_is_the_last_whole_one(opened: OpenCluster, clock: StillClock) -> None:
    exported(opened, images=True)
    whole = clock.now()
    for more in (
        {"code": ExitCode.PARTIAL},
        {"scope": {"only": ["vm=web*"]}},
        {"options": {"redact": True}},
        {"options": {"template": True}},
    ):
        clock.pass_by(HOUR)
        exported(opened, **more)

    last = cluster_status(opened).last_export

    assert last is not None
    assert (last.at, last.images, last.telemetry, last.place) == (whole, True, False, "/backup/x.json.gz")


def test_a_failed_export_after_the_last_good_one_is_shown(opened: OpenCluster) -> None:
    exported(opened)
    assert cluster_status(opened).last_failure is None

    exported(opened, ExitCode.STORAGE, error="disk full")

    failure = cluster_status(opened).last_failure
    assert failure is not None
    assert failure.error == "disk full"


def test_never_is_stale(opened: OpenCluster) -> None:
    assert freshness(opened, 26 * HOUR, ()).stale


def test_age_decides_at_the_second(opened: OpenCluster, clock: StillClock) -> None:
    exported(opened)
    clock.pass_by(26 * HOUR)
    assert not freshness(opened, 26 * HOUR, ()).stale

    clock.pass_by(timedelta(seconds=1))

    assert freshness(opened, 26 * HOUR, ()).stale


def test_what_is_required_must_have_been_in_it(opened: OpenCluster, clock: StillClock) -> None:
    exported(opened, images=True, telemetry=True)
    clock.pass_by(HOUR)
    exported(opened, images=True)
    clock.pass_by(HOUR)
    exported(opened)

    def age(*required: str) -> timedelta:
        newest = freshness(opened, 26 * HOUR, required).newest
        assert newest is not None
        return clock.now() - newest.at

    assert [age(), age("images"), age("images", "telemetry")] == [0 * HOUR, 1 * HOUR, 2 * HOUR]


def test_an_export_long_before_many_other_entries_is_still_found(opened: OpenCluster) -> None:
    exported(opened)
    for _ in range(250):
        opened.history.append(opened.entry("vm set", {}))

    assert not freshness(opened, 26 * HOUR, ()).stale


def test_unfinished_imports_are_counted(opened: OpenCluster, clock: StillClock) -> None:
    opened.books.begin_import(ImportRow(id="i1", key="k1", started_at=clock.now()))

    assert cluster_status(opened).unfinished_imports == 1


def test_the_history_can_be_narrowed(opened: OpenCluster) -> None:
    exported(opened)
    opened.note("vm set", {"vm": "x"})
    opened.note("vm set", {"vm": "y"}, ExitCode.CONFLICT)

    def verbs(**options: Any) -> list[str]:
        return [each.entry.verb for each in history(opened, HistoryOptions(**options))]

    assert verbs() == ["vm set", "vm set", "cluster export", "cluster init"]
    assert verbs(failed=True) == ["vm set"]
    assert verbs(verb="cluster export") == ["cluster export"]
    assert verbs(document="ab" * 32) == ["cluster export"]
    assert verbs(limit=1) == ["vm set"]


def test_a_failed_edit_is_in_the_history_and_in_the_log(opened: OpenCluster) -> None:
    with pytest.raises(Exception, match="no VM"):
        delete_vm(opened, "ghost")

    entry = opened.history.entries(limit=1)[0].entry
    assert (entry.verb, entry.exit_code, entry.error_id, entry.os_user) == (
        "vm delete",
        20,
        "state.not-found",
        "tester",
    )
    assert opened.telemetry is not None
    with opened.telemetry() as store:
        line = list(store.logs(opened.clock.now() - HOUR, opened.clock.now()))[-1]
    assert (line.severity.name, line.trace) == ("ERROR", "ab" * 16)
    assert line.attributes["blixard.exit_code"] == 20


def test_a_log_that_cannot_be_written_stops_nothing(opened: OpenCluster, tmp_path: Path) -> None:
    opened.directory.telemetry_db.unlink(missing_ok=True)
    opened.directory.telemetry_db.mkdir()

    make(opened, tmp_path)

    assert "web-1" in opened.snapshot().vms
