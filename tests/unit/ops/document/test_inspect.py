import gzip
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from blixard.errors import MalformedExport, UsageError
from blixard.model.structs import Consistency, ExportMetadata
from blixard.ops.document.inspect import InspectOptions, inspect_file
from blixard.ops.document.inspect_report import InspectReport
from support import documents
from support.cluster_files import cluster_document, cluster_document_sealed, edited, nothing, put, sorted_by_key
from support.documents import MIB, data, disk, head, image, noise, reference, vm

LAYOUTS = pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])


def inspect(folder: Path, document: bytes, **options: Any) -> InspectReport:
    return inspect_file(InspectOptions(source=put(folder, document), **options))


@LAYOUTS
def test_a_file_with_an_index_is_seen_without_its_records(tmp_path: Path, *, compress: bool) -> None:
    document, integrity = cluster_document_sealed(compress=compress)

    report = inspect(tmp_path, document)

    assert (report.quick, report.compressed, report.sealed) == (True, compress, True)
    assert report.document == integrity.document
    assert report.telemetry == {"resourceMetrics": 1, "resourceLogs": 2}
    assert [(row.vm, row.name, row.records) for row in report.images] == [
        ("db-1", "root", 2),
        ("db-1", "data", 3),
        ("web-1", "root", 2),
        ("cfg", "vmlinuz", 1),
    ]


@pytest.mark.parametrize("full", [False, True])
@LAYOUTS
def test_what_is_seen_is_the_same_with_an_index_and_without(tmp_path: Path, *, compress: bool, full: bool) -> None:
    quick = inspect(tmp_path, cluster_document(compress=compress))
    slow = inspect(tmp_path, cluster_document(compress=compress, layout=full), full=full)

    assert (quick.quick, slow.quick) == (True, False)
    assert slow.document == quick.document
    assert [row.name for row in slow.vms] == [row.name for row in quick.vms]
    assert [row.data_bytes for row in slow.vms] == [row.data_bytes for row in quick.vms]
    assert [row.digest for row in slow.images] == [row.digest for row in quick.images]
    assert slow.telemetry == quick.telemetry


@pytest.mark.parametrize("change", [lambda it: edited(it, nothing), sorted_by_key, gzip.compress, lambda it: it[:-1]])
def test_a_file_without_a_valid_index_is_streamed(tmp_path: Path, change: Any) -> None:
    report = inspect(tmp_path, change(cluster_document()))

    assert not report.quick
    assert len(report.images) == 4


def test_a_pipe_is_streamed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    feeder = threading.Thread(target=fifo.write_bytes, args=(cluster_document(),))
    feeder.start()

    report = inspect_file(InspectOptions(source=str(fifo)))
    feeder.join()

    assert (report.quick, report.sizes.file_bytes, len(report.vms)) == (False, None, 3)


def test_the_table_says_for_each_vm_what_it_has(tmp_path: Path) -> None:
    document = cluster_document()

    row = inspect(tmp_path, document).vms[1]

    assert (row.name, row.disks, row.files, row.contents) == ("db-1", 2, 0, 2)
    assert (row.virtual_bytes, row.data_bytes) == (8 * MIB, 70_000 + 100_000 + 70_000 + 4096)
    assert row.consistency is Consistency.STOPPED
    assert row.stored_bytes is not None
    assert 70_000 < row.stored_bytes < len(document)


def test_a_disk_that_the_export_could_not_read_is_shown_with_why(tmp_path: Path) -> None:
    row = inspect(tmp_path, cluster_document(failed="input/output error")).vms[2]

    assert (row.contents, row.consistency, row.failed) == (0, None, ("root: input/output error",))


def test_a_vm_whose_disks_are_not_in_the_file_has_no_bytes_there(tmp_path: Path) -> None:
    report = inspect(tmp_path, documents.write(vms=[vm(disks=(disk(),))]))

    assert not report.images_included
    assert (report.vms[0].contents, report.vms[0].data_bytes, report.vms[0].stored_bytes) == (0, None, None)


def test_deduplication_and_compression_are_exact_when_all_is_read(tmp_path: Path) -> None:
    first = data(0, noise(8192))
    document = documents.write(
        vms=[vm(disks=(disk(image=0),))],
        images=[image("web-1", "root", [first, reference(MIB, first), reference(2 * MIB, first)])],
    )

    report = inspect(tmp_path, document, full=True)

    assert (report.sizes.data_bytes, report.sizes.unique_bytes) == (3 * 8192, 8192)
    assert report.dedup_ratio == 3.0
    assert report.compression_ratio == pytest.approx(1.0, abs=0.01)


def test_who_wrote_it_and_what_was_left_out_is_told(tmp_path: Path) -> None:
    metadata = ExportMetadata(
        exporter="blixard 9.9",
        cluster_id=documents.uuid(9),
        revision=12,
        provenance={"cluster_name": "old", "mode": "replace"},
        scope={"only": ["vm=web-*"]},
        redacted=("/vms/web-1/metadata/token",),
        template={"variables": {"size": {"type": "integer"}, "odd": 3}},
    )

    report = inspect(tmp_path, documents.write(head(metadata=metadata), [vm()]))

    assert (report.exporter, report.cluster_id, report.revision) == ("blixard 9.9", documents.uuid(9), 12)
    assert report.provenance == {"cluster_name": "old", "mode": "replace"}
    assert report.scope == {"only": ["vm=web-*"]}
    assert report.redacted == ("/vms/web-1/metadata/token",)
    assert report.template == {"size": {"type": "integer"}}


def test_keys_that_nobody_knows_are_listed_by_place(tmp_path: Path) -> None:
    def annotated(document: Any) -> None:
        document["x/note"] = 1
        document["metadata"]["mine"] = 2
        document["nodes"][1]["rack_unit"] = 3
        document["vms"]["db-1"]["disks"][1]["shelf"] = 4

    report = inspect(tmp_path, edited(cluster_document(), annotated))

    assert report.unknown == ("/x~1note", "/metadata/mine", "/nodes/1/rack_unit", "/vms/db-1/disks/1/shelf")
    assert report.unknown_count == 4


def test_edits_of_what_was_read_are_told(tmp_path: Path) -> None:
    report = inspect(tmp_path, cluster_document().replace(b'"memory": 512', b'"memory": 513', 1))

    assert (report.quick, report.edited) == (True, ("vms",))


@LAYOUTS
@pytest.mark.parametrize(("clear", "shown"), [(False, "(redacted)"), (True, "hunter2")])
def test_what_looks_like_a_secret_is_listed(tmp_path: Path, *, compress: bool, clear: bool, shown: str) -> None:
    def leaky(document: Any) -> None:
        document["vms"]["web-1"]["metadata"] = {"db_password": "hunter2"}
        document["telemetry"]["resourceLogs"][1] = {"token": "hunter2"}

    report = inspect(tmp_path, edited(cluster_document(compress=compress), leaky), secrets=True, clear=clear)

    assert report.secrets is not None
    assert [(each.pointer, each.shown) for each in report.secrets] == [
        ("/vms/web-1/metadata/db_password", shown),
        ("/telemetry/resourceLogs/1/token", shown),
    ]


def test_secrets_in_telemetry_are_found_along_the_index_too(tmp_path: Path) -> None:
    document = documents.write(vms=[vm()], images=[], telemetry={"resourceLogs": [{"a": 1}, {"api_key": "k"}]})

    report = inspect(tmp_path, document, secrets=True)

    assert report.quick
    assert [each.pointer for each in report.secrets or ()] == ["/telemetry/resourceLogs/1/api_key"]


def test_configured_paths_are_looked_at_too(tmp_path: Path) -> None:
    report = inspect(tmp_path, cluster_document(), secrets=True, redact_paths=("/vms/*/config_path",))

    assert [each.rule for each in report.secrets or ()] == ["configured path"] * 3


def test_secrets_are_not_looked_for_unasked(tmp_path: Path) -> None:
    assert inspect(tmp_path, cluster_document()).secrets is None


@pytest.mark.parametrize("document", [b"", b"{}", b"\x1f\x8b", b"hello", cluster_document()[:2000]])
def test_what_is_no_export_is_malformed(tmp_path: Path, document: bytes) -> None:
    with pytest.raises(MalformedExport):
        inspect(tmp_path, document)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        inspect_file(InspectOptions(source=str(tmp_path)))
