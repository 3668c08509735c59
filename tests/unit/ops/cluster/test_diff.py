from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from blixard.errors import ExitCode, NotFound, UsageError
from blixard.home import ClusterDir, Home
from blixard.model.structs import Content, ContentKey, ContentKind, JsonObject, Vm
from blixard.ops.cluster.clusters import init_cluster
from blixard.ops.cluster.diff import DiffOptions, DiffReport, SideKind, diff, pending
from blixard.ops.vm.edit import delete_vm, set_vm
from blixard.plan.values import Action, FieldChange
from blixard.ports import StateChange
from blixard.site.hypervisors import hypervisor_of
from blixard.site.open_cluster import OpenCluster
from blixard.site.who import SystemClock, Who
from blixard.store.history import History
from blixard.store.opening import locks_of, open_with_books
from support import documents
from support.cluster_files import cluster_document, edited, nothing, put, sorted_by_key
from support.documents import data, disk, image, uuid, vm


class Clusters:
    """Real clusters in a data directory, and the function by which a difference opens them."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        init_cluster(self.home, "lab", reopen=self.reopen)

    def open(self, name: str | None) -> AbstractContextManager[OpenCluster]:
        return self.reopen(self.home.cluster(name or self.home.current() or ""))

    def reopen(self, directory: ClusterDir) -> OpenCluster:
        store, books = open_with_books(directory)
        return OpenCluster(
            self.home,
            directory,
            store,
            History(directory.history_db),
            books=books,
            locks=locks_of(directory),
            hypervisor=partial(hypervisor_of, directory, store),
            clock=SystemClock(),
            who=Who.here(),
        )

    def put(self, *vms: Vm, contents: dict[ContentKey, Content] | None = None) -> None:
        change = StateChange(put_vms=vms, put_contents=tuple((contents or {}).items()))
        with self.open("lab") as opened:
            opened.edit("test", {}, lambda _snapshot: change)


@pytest.fixture
def clusters(tmp_path: Path) -> Clusters:
    return Clusters(tmp_path / "data")


def no_cluster(_name: str | None) -> AbstractContextManager[OpenCluster]:
    pytest.fail("a difference of files opened a cluster")


def of_files(folder: Path, one: bytes, other: bytes, *, volatile: bool = False) -> DiffReport:
    before, after = put(folder, one, "one.json"), put(folder, other, "other.json")
    return diff(DiffOptions(before=before, after=after, volatile=volatile), no_cluster)


def more_memory(document: JsonObject) -> None:
    document["vms"]["web-1"]["memory"] = 4096


@pytest.mark.parametrize("other", [cluster_document(compress=True), sorted_by_key(cluster_document())])
def test_two_layouts_of_one_document_do_not_differ(tmp_path: Path, other: bytes) -> None:
    report = of_files(tmp_path, cluster_document(), other)

    assert (report.differs, pending(report)) == (False, ExitCode.DONE)


def test_a_field_that_changed_is_told(tmp_path: Path) -> None:
    report = of_files(tmp_path, cluster_document(), edited(cluster_document(), more_memory))

    assert [(each.name, each.kind, each.fields) for each in report.diff.vms] == [
        ("web-1", Action.UPDATE, (FieldChange("/memory", 512, 4096),))
    ]
    assert pending(report) is ExitCode.CHANGES_PENDING


def test_what_only_one_side_has_is_told(tmp_path: Path) -> None:
    one, other = documents.write(vms=[vm("a"), vm("b")]), documents.write(vms=[vm("b"), vm("c")])

    report = of_files(tmp_path, one, other)

    assert [(each.name, each.kind) for each in report.diff.vms] == [("a", Action.DELETE), ("c", Action.CREATE)]


def test_what_differs_in_every_export_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    def later(document: JsonObject) -> None:
        document["exported_at"] = "2027-01-01T00:00:00Z"
        document["metadata"]["revision"] = 99

    one, other = cluster_document(), edited(cluster_document(), later)

    assert not of_files(tmp_path, one, other).differs
    assert {each.pointer for each in of_files(tmp_path, one, other, volatile=True).diff.head} == {
        "/exported_at",
        "/revision",
    }


@pytest.mark.parametrize("layout", [True, False], ids=["indexed", "streamed"])
def test_content_that_differs_is_told_by_digest(tmp_path: Path, *, layout: bool) -> None:
    def holding(content: bytes) -> bytes:
        pieces = [data(0, content)]
        vms = [vm(disks=(disk(image=0),))]
        return documents.write(vms=vms, images=[image("web-1", "root", pieces)], layout=layout)

    report = of_files(tmp_path, holding(b"a" * 5000), holding(b"b" * 5000))

    assert [each.pointer for each in report.diff.contents] == ["/web-1/root"]
    assert not report.diff.vms


def test_a_file_without_images_says_nothing_about_content(tmp_path: Path) -> None:
    def without(document: JsonObject) -> None:
        del document["images"]
        for each in document["vms"].values():
            for part in (*each["disks"], *each["files"]):
                part.pop("image", None)

    assert not of_files(tmp_path, cluster_document(), edited(cluster_document(), without)).diff.contents


def test_a_cluster_is_a_side(tmp_path: Path, clusters: Clusters) -> None:
    clusters.put(vm(id=uuid(1), memory=1024))
    file = put(tmp_path, documents.write(vms=[vm(id=uuid(1), memory=512)]))

    for name in ("cluster:lab", "cluster:"):
        report = diff(DiffOptions(before=file, after=name), clusters.open)

        assert (report.after.kind, report.after.cluster) == (SideKind.CLUSTER, "lab")
        assert [each.fields for each in report.diff.vms] == [(FieldChange("/memory", 512, 1024),)]


def test_content_of_a_cluster_counts_where_its_digest_is_known(tmp_path: Path, clusters: Clusters) -> None:
    document, key = cluster_document(), ContentKey(uuid(2), ContentKind.DISK, "root")
    state = documents.read(document).state
    known = Content(file="web-1-root.raw", size_bytes=4 << 20, digest="0" * 64)
    clusters.put(*(structs.replace(each.vm) for each in state.vms.values()), contents={key: known})

    report = diff(DiffOptions(before=put(tmp_path, document), after="cluster:lab"), clusters.open)

    assert [each.pointer for each in report.diff.contents] == ["/web-1/root"]


@pytest.mark.parametrize("name", ["undo:1", "undo:lab/1"])
def test_an_undo_entry_is_the_cluster_before_that_change(clusters: Clusters, name: str) -> None:
    clusters.put(vm("gone", id=uuid(1)), vm("kept", id=uuid(2), memory=512))
    with clusters.open("lab") as opened:
        delete_vm(opened, "gone")
        set_vm(opened, "kept", {"memory": 2048})

    report = diff(DiffOptions(before=name, after="cluster:lab"), clusters.open)

    assert [(each.name, each.kind) for each in report.diff.vms] == [("gone", Action.DELETE)]


def test_an_undo_entry_that_is_not_there_is_not_found(clusters: Clusters) -> None:
    with pytest.raises(NotFound, match="nothing to undo"):
        diff(DiffOptions(before="undo:7", after="cluster:"), clusters.open)


@pytest.mark.parametrize("name", ["undo:", "undo:x", "undo:lab/", "undo:lab/x"])
def test_what_is_no_undo_entry_is_refused(clusters: Clusters, name: str) -> None:
    with pytest.raises(UsageError, match="no undo entry"):
        diff(DiffOptions(before=name, after="cluster:"), clusters.open)


def test_a_cluster_that_is_not_there_is_not_found(clusters: Clusters) -> None:
    with pytest.raises(NotFound):
        diff(DiffOptions(before="cluster:nobody", after="cluster:lab"), clusters.open)


def test_standard_input_is_only_one_side() -> None:
    with pytest.raises(UsageError, match="both sides"):
        diff(DiffOptions(before="-", after="-"), no_cluster)


def test_a_file_that_is_called_like_a_cluster_is_named_by_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, edited(cluster_document(), nothing), "cluster:lab")

    report = diff(DiffOptions(before="./cluster:lab", after="./cluster:lab"), no_cluster)

    assert (report.before.kind, report.differs) == (SideKind.FILE, False)
