import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blixard import files
from blixard.errors import DigestMismatch, ExitCode, MalformedExport, RefusedError, StorageError, UsageError
from blixard.home import Home
from blixard.model.structs import ExportMetadata, JsonObject
from blixard.ops.document.fmt import FmtOptions, FmtReport, format_file
from blixard.site.silence import SILENT
from support import documents
from support.cluster_files import (
    cluster_document,
    disk_contents,
    edited,
    nothing,
    put,
    sorted_by_key,
    with_damaged_record,
)
from support.documents import head, vm

LAYOUTS = pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])


def fmt(folder: Path, document: bytes, **options: Any) -> FmtReport:
    options = {"source": put(folder, document), **options}
    return format_file(FmtOptions(**options), progress=SILENT, home=Home(folder / "none"))


def written(folder: Path) -> bytes:
    return (folder / "cluster.json").read_bytes()


def more_memory(document: JsonObject) -> None:
    document["vms"]["web-1"]["memory"] = 4096


def template() -> bytes:
    metadata = ExportMetadata(template={"variables": {}})
    return documents.write(head(metadata=metadata), [vm("web-1")], integrity=False, layout=False)


@LAYOUTS
def test_an_export_is_in_form_and_left_alone(tmp_path: Path, *, compress: bool) -> None:
    document = cluster_document(compress=compress)

    report = fmt(tmp_path, document)

    assert (report.in_form, report.written, report.exit_code) == (True, None, ExitCode.DONE)
    assert written(tmp_path) == document


@LAYOUTS
@pytest.mark.parametrize("level", [0, 1, 3])
def test_how_well_a_file_is_compressed_is_no_matter_of_form(tmp_path: Path, *, compress: bool, level: int) -> None:
    assert fmt(tmp_path, cluster_document(compress=compress, level=level), check=True).in_form


@pytest.mark.parametrize(
    "change",
    [
        lambda document: edited(document, nothing),
        sorted_by_key,
        lambda document: document.replace(b'"memory": 512', b'"memory":   512', 1),
        lambda document: document + b"\n",
    ],
    ids=["jq", "jq -S", "white space", "a line more"],
)
def test_a_file_that_was_laid_out_anew_becomes_the_same_bytes_again(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    document = cluster_document()

    report = fmt(tmp_path, change(document))

    assert (report.in_form, report.written) == (False, str(tmp_path / "cluster.json"))
    assert written(tmp_path) == document


def test_a_gzip_file_that_was_compressed_anew_gets_its_index_back(tmp_path: Path) -> None:
    document = cluster_document(compress=True)

    report = fmt(tmp_path, gzip.compress(gzip.decompress(document), 9))

    assert not report.in_form
    assert written(tmp_path) == document


def test_an_edit_is_sealed(tmp_path: Path) -> None:
    report = fmt(tmp_path, edited(cluster_document(), more_memory))

    outcome = documents.read(written(tmp_path))
    assert report.edited == ("vms",)
    assert outcome.end.report.intact
    assert outcome.end.report.document == report.document
    assert outcome.state.vms["web-1"].vm.memory == 4096
    assert disk_contents(written(tmp_path)) == disk_contents(cluster_document())


def test_what_was_formatted_is_in_form(tmp_path: Path) -> None:
    fmt(tmp_path, sorted_by_key(edited(cluster_document(), more_memory)))

    assert fmt(tmp_path, written(tmp_path), check=True).in_form


@pytest.mark.parametrize("change", [nothing, more_memory], ids=["layout", "edit"])
def test_check_says_so_and_changes_nothing(tmp_path: Path, change: Callable[[JsonObject], object]) -> None:
    document = edited(cluster_document(), change)

    report = fmt(tmp_path, document, check=True)

    assert (report.exit_code, report.written) == (ExitCode.CHANGES_PENDING, None)
    assert report.why
    assert written(tmp_path) == document


def test_a_key_that_was_absent_stays_absent(tmp_path: Path) -> None:
    def only_what_is_needed(document: JsonObject) -> None:
        each = document["vms"]["web-1"]
        document["vms"]["web-1"] = {key: each[key] for key in ("name", "config_path", "vcpus", "memory", "networks")}
        document["vms"]["web-1"]["extra"] = {"b": 1, "a": 2}
        del document["nodes"][0]["labels"]

    fmt(tmp_path, edited(cluster_document(), only_what_is_needed))

    state = documents.read(written(tmp_path)).state
    assert list(state.vms["web-1"].given) == ["name", "config_path", "vcpus", "memory", "networks", "extra"]
    assert "labels" not in state.nodes[0].given


def test_a_file_of_the_original_keeps_its_meaning(tmp_path: Path) -> None:
    original = (
        b'{"metadata":{"node_count":1,"vm_count":1,"telemetry_included":false},"version":"1.0","cluster_name":"old",'
        b'"vms":{"a":{"memory":1,"vcpus":1,"config_path":"/a","name":"a"}},"raft_state":{"term":1,"leader_id":null,'
        b'"members":[]},"nodes":[{"vm_backend":"qemu","use_tailscale":false,"bind_addr":"1.1.1.1:1","data_dir":"/d",'
        b'"id":1}],"exported_by_node":1,"exported_at":"2026-01-01T00:00:00Z"}'
    )

    fmt(tmp_path, original)

    outcome = documents.read(written(tmp_path))
    assert outcome.end.report.intact
    assert outcome.state.vms["a"].given == {"name": "a", "config_path": "/a", "vcpus": 1, "memory": 1}


def test_counts_follow_the_edit(tmp_path: Path) -> None:
    def one_vm_less(document: JsonObject) -> None:
        del document["vms"]["web-1"]

    fmt(tmp_path, edited(cluster_document(), one_vm_less))

    assert documents.read(written(tmp_path)).state.head.metadata.vm_count == 2


def test_a_template_stays_one(tmp_path: Path) -> None:
    fmt(tmp_path, edited(template(), lambda document: document.update(cluster_name="other")))

    assert b"integrity" not in written(tmp_path)
    assert fmt(tmp_path, template(), check=True).in_form


def test_unknown_keys_stay(tmp_path: Path) -> None:
    def annotated(document: JsonObject) -> None:
        document["x-note"] = {"by": "me"}

    fmt(tmp_path, edited(cluster_document(), annotated))

    assert documents.read(written(tmp_path)).state.head.unknown == {"x-note": {"by": "me"}}


@LAYOUTS
def test_damage_is_not_sealed(tmp_path: Path, *, compress: bool) -> None:
    document = with_damaged_record(cluster_document(compress=compress), 2, 1)

    with pytest.raises((DigestMismatch, MalformedExport)):
        fmt(tmp_path, document)

    assert written(tmp_path) == document


def test_a_file_that_was_cut_short_is_not_sealed(tmp_path: Path) -> None:
    with pytest.raises(MalformedExport, match="ends early"):
        fmt(tmp_path, cluster_document()[:-4])


def test_an_image_taken_out_shifts_the_others_and_is_named(tmp_path: Path) -> None:
    def second_image_gone(document: JsonObject) -> None:
        del document["images"][1]
        del document["vms"]["db-1"]["disks"][1]
        del document["vms"]["cfg"]["files"][1]

    with pytest.raises(MalformedExport, match="`web-1/root` names image 2, which is `cfg/vmlinuz`") as caught:
        fmt(tmp_path, edited(cluster_document(), second_image_gone))

    assert "`web-1/root` is image 1" in caught.value.message


def test_links_that_were_crossed_are_named_with_what_is_right(tmp_path: Path) -> None:
    def crossed(document: JsonObject) -> None:
        first, second = document["vms"]["db-1"]["disks"]
        first["image"], second["image"] = second["image"], first["image"]

    with pytest.raises(MalformedExport, match="`db-1/root` names image 1, which is `db-1/data`") as caught:
        fmt(tmp_path, edited(cluster_document(), crossed))

    assert "`db-1/root` is image 0" in caught.value.message


def test_a_link_to_no_image_is_named(tmp_path: Path) -> None:
    def last_image_gone(document: JsonObject) -> None:
        document["images"].pop()

    with pytest.raises(MalformedExport, match="vmlinuz"):
        fmt(tmp_path, edited(cluster_document(), last_image_gone))


def test_a_reference_to_an_image_that_was_taken_out_is_named(tmp_path: Path) -> None:
    def first_image_gone(document: JsonObject) -> None:
        del document["images"][0]
        document["vms"]["db-1"]["disks"] = document["vms"]["web-1"]["disks"] = document["vms"]["cfg"]["files"] = []

    with pytest.raises(MalformedExport, match="which no earlier record holds"):
        fmt(tmp_path, edited(cluster_document(), first_image_gone))


def test_an_image_follows_a_vm_that_was_renamed(tmp_path: Path) -> None:
    def renamed(document: JsonObject) -> None:
        document["vms"]["www"] = document["vms"].pop("web-1") | {"name": "www"}

    fmt(tmp_path, edited(cluster_document(), renamed))

    outcome = documents.read(written(tmp_path))
    assert outcome.images[2].head.vm == "www"
    assert outcome.end.report.intact


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = Path(put(tmp_path, edited(cluster_document(), nothing)))
    path.chmod(0o644)

    format_file(FmtOptions(source=str(path)), progress=SILENT, home=Home(tmp_path / "none"))

    assert path.stat().st_mode & 0o777 == 0o644


def test_another_output_leaves_the_file_alone(tmp_path: Path) -> None:
    document = edited(cluster_document(), nothing)

    fmt(tmp_path, document, output=str(tmp_path / "other.json"))

    assert written(tmp_path) == document
    assert (tmp_path / "other.json").read_bytes() == cluster_document()


def test_another_output_is_written_also_when_nothing_has_to_change(tmp_path: Path) -> None:
    fmt(tmp_path, cluster_document(), output=str(tmp_path / "other.json"))

    assert (tmp_path / "other.json").read_bytes() == cluster_document()


@pytest.mark.parametrize("options", [{"source": "-"}, {"check": True, "output": "x"}])
def test_what_makes_no_sense_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        fmt(tmp_path, cluster_document(), **options)


def test_a_symlink_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    put(tmp_path, edited(cluster_document(), nothing), "real.json")
    link = tmp_path / "link.json"
    link.symlink_to("real.json")

    with pytest.raises(RefusedError):
        format_file(FmtOptions(source=str(link)), progress=SILENT, home=Home(tmp_path / "none"))


def test_a_failure_to_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    document = edited(cluster_document(), nothing)

    def fail(operation: str, _path: str) -> None:
        if operation == "rename":
            raise OSError(30, "Read-only file system")

    with files.observe(fail), pytest.raises(StorageError):
        fmt(tmp_path, document)

    assert written(tmp_path) == document
    assert [each.name for each in tmp_path.iterdir()] == ["cluster.json"]
