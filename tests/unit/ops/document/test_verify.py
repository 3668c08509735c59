import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from blixard.errors import DigestMismatch, ExitCode, LimitExceeded, MalformedExport, UnsupportedVersion
from blixard.format.envelope import MAGIC
from blixard.format.index import open_fast
from blixard.limits import Limits
from blixard.model.structs import JsonObject
from blixard.ops.document.verify import VerifyOptions, verify_file, verify_written
from blixard.ops.document.verify import VerifyReport as Report
from blixard.place import open_input
from blixard.site.silence import SILENT
from support import documents
from support.cluster_files import (
    VMS,
    cluster_document,
    edited,
    nothing,
    put,
    record_place,
    sorted_by_key,
    with_damaged_record,
)
from support.inputs import BytesInput

LAYOUTS = pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])


def verify(folder: Path, document: bytes, *, allow_edited: bool = False, limits: Limits = Limits()) -> Report:  # noqa: B008 - frozen
    options = VerifyOptions(source=put(folder, document), allow_edited=allow_edited, threads=2, limits=limits)
    return verify_file(options, progress=SILENT)


def more_memory(document: JsonObject) -> None:
    document["vms"]["web-1"]["memory"] = 4096


def damaged_images(report: Report) -> list[int]:
    return [each.image for each in report.images if each.damaged]


@LAYOUTS
def test_a_whole_file_is_intact(tmp_path: Path, *, compress: bool) -> None:
    document, integrity = cluster_document(compress=compress), documents.read(cluster_document()).end.report.document

    report = verify(tmp_path, document)

    assert (report.exit_code, report.intact, report.compressed) == (ExitCode.DONE, True, compress)
    assert report.document == integrity
    assert report.vms_intact == VMS
    assert (report.records, damaged_images(report), report.restore) == (8, [], ())


@pytest.mark.parametrize(
    "change",
    [
        lambda document: edited(document, nothing),
        sorted_by_key,
        lambda document: gzip.compress(document, 9),
        lambda document: gzip.compress(sorted_by_key(document)),
    ],
    ids=["jq", "jq -S", "gzip -9", "jq -S | gzip"],
)
def test_a_file_that_was_laid_out_or_compressed_anew_is_intact(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    report = verify(tmp_path, change(cluster_document()))

    assert (report.exit_code, report.vms_intact) == (ExitCode.DONE, VMS)


def test_a_gzip_file_unpacked_by_hand_is_intact(tmp_path: Path) -> None:
    report = verify(tmp_path, gzip.decompress(cluster_document(compress=True)))

    assert report.exit_code is ExitCode.DONE


def test_an_edited_plain_file_is_a_mismatch_that_names_the_section(tmp_path: Path) -> None:
    report = verify(tmp_path, edited(cluster_document(), more_memory))

    assert (report.exit_code, report.edited) == (ExitCode.DIGEST_MISMATCH, ("vms",))


def test_allow_edited_lets_the_edit_of_a_plain_file_pass(tmp_path: Path) -> None:
    report = verify(tmp_path, edited(cluster_document(), more_memory), allow_edited=True)

    assert (report.exit_code, report.intact, report.edited) == (ExitCode.DONE, False, ("vms",))


def test_allow_edited_is_not_for_gzip(tmp_path: Path) -> None:
    report = verify(tmp_path, edited(cluster_document(compress=True), more_memory), allow_edited=True)

    assert report.exit_code is ExitCode.DIGEST_MISMATCH


def test_a_damaged_record_is_an_error_whatever_is_allowed(tmp_path: Path) -> None:
    report = verify(tmp_path, with_damaged_record(cluster_document(), 2, 1), allow_edited=True)

    assert (report.exit_code, damaged_images(report)) == (ExitCode.DIGEST_MISMATCH, [2])
    assert report.images[2].damaged is not None
    assert report.images[2].damaged.startswith("record 1 (offset 2097152): ")


def test_a_damaged_record_costs_the_vms_that_refer_to_it_and_no_others(tmp_path: Path) -> None:
    report = verify(tmp_path, with_damaged_record(cluster_document(), 0, 1))

    assert damaged_images(report) == [0, 2]
    assert [(each.vm, each.contents) for each in report.vms_damaged] == [("db-1", ("root",)), ("web-1", ("root",))]
    assert report.vms_intact == ("cfg",)


def test_a_damaged_file_gives_the_command_that_imports_the_rest(tmp_path: Path) -> None:
    report = verify(tmp_path, with_damaged_record(cluster_document(), 2, 1))

    file = tmp_path / "cluster.json"
    assert report.restore == (f"blixard cluster import -i {file} --skip-damaged --only vm=cfg --only vm=db-1",)


def test_the_command_accepts_the_edits_that_an_import_of_gzip_would_refuse(tmp_path: Path) -> None:
    def edited_and_damaged(document: JsonObject) -> None:
        more_memory(document)
        document["images"][2]["records"][1]["zstd"] = document["images"][0]["records"][0]["zstd"]

    report = verify(tmp_path, edited(cluster_document(compress=True), edited_and_damaged))

    assert damaged_images(report) == [2]
    assert "--skip-damaged --accept-edited --only vm=cfg" in report.restore[0]


def test_an_image_that_is_not_what_its_digest_says_is_damaged(tmp_path: Path) -> None:
    def swapped(document: JsonObject) -> None:
        document["images"][2]["consistency"] = "crash"

    report = verify(tmp_path, edited(cluster_document(), swapped), allow_edited=True)

    assert (report.exit_code, damaged_images(report)) == (ExitCode.DIGEST_MISMATCH, [2])


def test_a_file_without_integrity_is_partial(tmp_path: Path) -> None:
    report = verify(tmp_path, cluster_document(integrity=False, layout=False))

    assert (report.exit_code, report.sealed, report.intact) == (ExitCode.PARTIAL, False, False)


def test_damage_in_a_file_without_integrity_is_found(tmp_path: Path) -> None:
    document = with_damaged_record(cluster_document(integrity=False), 2, 1)

    report = verify(tmp_path, document)

    assert (report.exit_code, damaged_images(report)) == (ExitCode.DIGEST_MISMATCH, [2])


def test_a_disk_that_the_export_could_not_read_leaves_its_vm_incomplete(tmp_path: Path) -> None:
    report = verify(tmp_path, cluster_document(failed="read: input/output error"))

    assert report.exit_code is ExitCode.PARTIAL
    assert [(each.vm, each.contents) for each in report.vms_incomplete] == [("web-1", ("root",))]
    assert report.vms_intact == ("cfg", "db-1")


@LAYOUTS
@pytest.mark.parametrize("cut", [0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
def test_of_a_file_that_was_cut_short_every_vm_is_judged(tmp_path: Path, *, compress: bool, cut: float) -> None:
    whole = cluster_document(compress=compress)

    report = verify(tmp_path, whole[: int(len(whole) * cut)])

    assert report.exit_code is ExitCode.MALFORMED
    assert report.problem is not None
    assert "ends early" in report.problem
    assert {*report.vms_intact, *(each.vm for each in report.vms_damaged)} == set(VMS)


@LAYOUTS
@pytest.mark.parametrize("size", [0, 1, 2, 30, 300])
def test_a_file_cut_inside_its_state_has_nothing_to_tell(tmp_path: Path, *, compress: bool, size: int) -> None:
    with pytest.raises(MalformedExport):
        verify(tmp_path, cluster_document(compress=compress)[:size])


@LAYOUTS
def test_a_file_cut_behind_the_first_disk_gives_the_line_that_takes_that_disk_out(
    tmp_path: Path, *, compress: bool
) -> None:
    document = cluster_document(compress=compress)
    begin, _ = record_place(document, 1, 1)

    report = verify(tmp_path, document[: begin + 3])

    file = tmp_path / "cluster.json"
    assert damaged_images(report) == [1, 2, 3]
    assert report.restore == (f"blixard cluster extract {file} db-1/root -o db-1-root.raw",)


def test_a_damaged_gzip_member_does_not_hide_the_disks_behind_it(tmp_path: Path) -> None:
    report = verify(tmp_path, with_damaged_record(cluster_document(compress=True), 2, 1))

    assert report.exit_code is ExitCode.DIGEST_MISMATCH
    assert (damaged_images(report), report.edited, report.problem) == ([2], (), None)
    assert report.vms_intact == ("cfg", "db-1")
    file = tmp_path / "cluster.json"
    assert report.restore == (f"blixard cluster import -i {file} --skip-damaged --only vm=cfg --only vm=db-1",)


def test_a_damaged_gzip_member_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    document = cluster_document(compress=True)
    begin, _ = record_place(document, 2, 1)

    report = verify(tmp_path, with_damaged_record(document, 2, 1))

    assert (report.images[2].damaged or "").startswith(f"record 1: the gzip member at byte `{begin}` is damaged")


@LAYOUTS
def test_damage_behind_the_disks_leaves_the_lines_that_take_them_out(tmp_path: Path, *, compress: bool) -> None:
    document = cluster_document(compress=compress)
    view = open_fast(BytesInput(document))
    assert view is not None
    at = int(view.index.integrity or 0) + 30

    report = verify(tmp_path, document[:at] + b"\x01" * 20 + document[at + 20 :])

    assert report.exit_code is ExitCode.MALFORMED
    assert [line.split()[2] for line in report.restore] == ["extract"] * 4


def test_what_refers_to_a_damaged_gzip_member_is_damaged(tmp_path: Path) -> None:
    report = verify(tmp_path, with_damaged_record(cluster_document(compress=True), 0, 0))

    assert damaged_images(report) == [0, 1]


@LAYOUTS
def test_every_flipped_bit_is_found(tmp_path: Path, *, compress: bool) -> None:
    whole = cluster_document(compress=compress)
    for at in range(7, len(whole), len(whole) // 60):
        changed = bytearray(whole)
        changed[at] ^= 1
        try:
            report = verify(tmp_path, bytes(changed))
        except (MalformedExport, UnsupportedVersion, LimitExceeded):
            continue
        # what is not content (white space, a member's time stamp, the index) may be another without harm
        assert report.exit_code is not ExitCode.DONE or documents.read(bytes(changed)).end.report.intact


def test_a_reference_to_nothing_costs_its_image(tmp_path: Path) -> None:
    def first_image_gone(document: JsonObject) -> None:
        del document["images"][0]
        for each in document["vms"].values():
            for part in (*each["disks"], *each["files"]):
                part.pop("image", None)

    report = verify(tmp_path, edited(cluster_document(), first_image_gone))

    assert (report.exit_code, report.problem) == (ExitCode.DIGEST_MISMATCH, None)
    assert "which no earlier record holds" in (report.images[0].damaged or "")


def test_a_limit_that_is_passed_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded):
        verify(tmp_path, cluster_document(), limits=Limits(record_bytes=4096))


def test_a_finished_export_is_read_back(tmp_path: Path) -> None:
    with open_input(put(tmp_path, cluster_document(compress=True))) as given:
        verify_written(given)

        assert given.read_at(0, 2) == MAGIC


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (with_damaged_record(cluster_document(), 2, 1), DigestMismatch),
        (with_damaged_record(cluster_document(compress=True), 2, 1), DigestMismatch),
        (edited(cluster_document(), more_memory), DigestMismatch),
        (cluster_document()[:-3], MalformedExport),
    ],
    ids=["record", "member", "state", "cut short"],
)
def test_an_export_that_is_not_what_was_written_is_not_published(
    tmp_path: Path, document: bytes, error: type[Exception]
) -> None:
    with open_input(put(tmp_path, document)) as given, pytest.raises(error):
        verify_written(given)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [("size_bytes", 2 << 20, "`raw` of `2097152` bytes"), ("format", "qcow2", "`qcow2` of `4194304` bytes")],
)
def test_a_disk_that_is_stated_otherwise_than_its_image_is_malformed(
    tmp_path: Path, key: str, value: object, says: str
) -> None:
    def stated_otherwise(document: JsonObject) -> None:
        document["vms"]["db-1"]["disks"][1][key] = value

    report = verify(tmp_path, edited(cluster_document(), stated_otherwise), allow_edited=True)

    assert (report.exit_code, damaged_images(report)) == (ExitCode.MALFORMED, [1])
    assert says in (report.images[1].damaged or "")
    assert "its image `1` is `raw` of `4194304`" in (report.images[1].damaged or "")
    assert report.vms_intact == ("cfg", "web-1")
