import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from blixard import files
from blixard.disks.detect import open_reader
from blixard.errors import (
    BlixardError,
    DigestMismatch,
    MalformedExport,
    NotFound,
    RefusedError,
    StorageError,
    UsageError,
)
from blixard.home import Home
from blixard.model.structs import ContentKind, DiskFormat, JsonObject
from blixard.ops.document.extract import ExtractOptions, ExtractReport, extract
from blixard.site.silence import SILENT
from support import documents
from support.cluster_files import (
    cluster_document,
    config_file,
    disk_contents,
    edited,
    nothing,
    put,
    record_place,
    sorted_by_key,
    with_damaged_record,
)
from support.documents import MIB, data, disk, image, pack, reference, vm

DISKS = ["db-1/root", "db-1/data", "web-1/root", "cfg/vmlinuz"]


def take(folder: Path, document: bytes, what: str, **options: Any) -> ExtractReport:
    given = {"source": put(folder, document), "what": what, "output": str(folder / "out"), **options}
    return extract(ExtractOptions(**given), progress=SILENT, home=Home(folder / "none"))


def leftovers(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name != "cluster.json")


def guest_view(path: Path) -> bytes:
    reader = open_reader(path, DiskFormat.QCOW2)
    seen = bytearray(reader.size_bytes)
    reader.read_into(0, memoryview(seen))
    reader.close()
    return bytes(seen)


@pytest.mark.parametrize("what", DISKS)
@pytest.mark.parametrize(
    "layout",
    [
        cluster_document,
        lambda: cluster_document(compress=True),
        lambda: cluster_document(layout=False),
        lambda: cluster_document(compress=True, layout=False),
        lambda: edited(cluster_document(), nothing),
        lambda: sorted_by_key(cluster_document()),
        lambda: cluster_document(integrity=False),
    ],
    ids=["plain", "gzip", "plain, no index", "gzip, no index", "jq", "jq -S", "no integrity"],
)
def test_a_disk_comes_out_as_it_went_in(tmp_path: Path, what: str, layout: Any) -> None:
    document = layout()

    report = take(tmp_path, document, what)

    assert (tmp_path / "out").read_bytes() == disk_contents(document)[what]
    assert report.digest is not None
    assert leftovers(tmp_path) == ["out"]


def test_what_comes_out_is_private_and_sparse(tmp_path: Path) -> None:
    take(tmp_path, cluster_document(), "db-1/data")

    status = (tmp_path / "out").stat()
    assert (status.st_mode & 0o777, status.st_size) == (0o600, 4 * MIB)
    assert status.st_blocks * 512 < MIB


def test_a_vm_of_one_disk_needs_no_disk_name(tmp_path: Path) -> None:
    report = take(tmp_path, cluster_document(), "web-1")

    assert (report.vm, report.name, report.kind) == ("web-1", "root", ContentKind.DISK)


def test_a_vm_of_several_disks_is_asked_which(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has 2 disks") as caught:
        take(tmp_path, cluster_document(), "db-1")

    assert caught.value.hint == "name one: `db-1/root`, `db-1/data`"


@pytest.mark.parametrize("what", ["cfg/config.nix", "cfg/file:config.nix"])
def test_a_file_that_stands_in_its_vm_comes_out(tmp_path: Path, what: str) -> None:
    report = take(tmp_path, cluster_document(), what)

    assert (tmp_path / "out").read_text() == config_file().text
    assert (report.kind, report.digest) == (ContentKind.FILE, None)


@pytest.mark.parametrize(
    ("what", "message"),
    [("nobody", "no VM `nobody`"), ("db-1/swap", "no disk or file `swap`"), ("cfg", "has no disk")],
)
def test_what_is_not_there_is_not_found(tmp_path: Path, what: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        take(tmp_path, cluster_document(), what)


def test_a_disk_whose_content_was_not_exported_is_not_found(tmp_path: Path) -> None:
    document = documents.write(vms=[vm(disks=(disk(),))])

    with pytest.raises(NotFound, match="is not in the file"):
        take(tmp_path, document, "web-1/root")


def test_a_disk_that_the_export_could_not_read_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="input/output error"):
        take(tmp_path, cluster_document(failed="read: input/output error"), "web-1/root")


def test_a_qcow2_disk_comes_out_as_qcow2(tmp_path: Path) -> None:
    head = image("web-1", "root", [data(MIB, b"x" * 70_000)], disk_format=DiskFormat.QCOW2)
    document = documents.write(vms=[vm(disks=(disk(format=DiskFormat.QCOW2, image=0),))], images=[head], compress=True)

    report = take(tmp_path, document, "web-1")

    assert report.format is DiskFormat.QCOW2
    assert guest_view(tmp_path / "out") == disk_contents(document)["web-1/root"]


def test_the_format_can_be_chosen(tmp_path: Path) -> None:
    document = cluster_document()

    take(tmp_path, document, "db-1/root", format=DiskFormat.QCOW2)

    assert guest_view(tmp_path / "out") == disk_contents(document)["db-1/root"]


def test_a_file_of_odd_size_cannot_be_qcow2(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="whole sectors"):
        take(tmp_path, cluster_document(), "cfg/vmlinuz", format=DiskFormat.QCOW2)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_a_damaged_record_leaves_nothing_and_the_old_file_intact(tmp_path: Path, *, compress: bool) -> None:
    (tmp_path / "out").write_text("old")

    with pytest.raises((DigestMismatch, MalformedExport)):
        take(tmp_path, with_damaged_record(cluster_document(compress=compress), 2, 1), "web-1/root")

    assert (tmp_path / "out").read_text() == "old"
    assert leftovers(tmp_path) == ["out"]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_damage_elsewhere_does_not_matter(tmp_path: Path, *, compress: bool) -> None:
    whole = cluster_document(compress=compress)

    take(tmp_path, with_damaged_record(whole, 0, 0), "web-1/root")

    assert (tmp_path / "out").read_bytes() == disk_contents(whole)["web-1/root"]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_a_disk_before_the_place_where_the_file_was_cut_comes_out(tmp_path: Path, *, compress: bool) -> None:
    whole = cluster_document(compress=compress)
    begin, _ = record_place(whole, 2, 0)

    take(tmp_path, whole[:begin], "db-1/data")

    assert (tmp_path / "out").read_bytes() == disk_contents(whole)["db-1/data"]


def test_a_disk_behind_the_place_where_the_file_was_cut_does_not(tmp_path: Path) -> None:
    whole = cluster_document()
    begin, _ = record_place(whole, 2, 0)

    with pytest.raises(MalformedExport, match="ends early"):
        take(tmp_path, whole[:begin], "web-1/root")


def test_an_edited_image_is_not_taken_for_a_disk(tmp_path: Path) -> None:
    def lost(document: JsonObject) -> None:
        document["images"][0]["records"].pop()
        document["images"][0]["data_bytes"] = 70_000

    with pytest.raises(DigestMismatch, match="does not match its digest"):
        take(tmp_path, edited(cluster_document(), lost), "db-1/root")


def test_an_index_that_lies_is_not_believed(tmp_path: Path) -> None:
    document = cluster_document()
    begin, _ = record_place(document, 1, 1)
    # the index says that the image's records begin at its second one
    changed = document.replace(f'"at":{record_place(document, 1, 0)[0]},'.encode(), f'"at":{begin},'.encode())
    assert changed != document

    take(tmp_path, changed, "db-1/data")

    assert (tmp_path / "out").read_bytes() == disk_contents(document)["db-1/data"]


def test_references_inside_one_disk_and_to_packs_are_resolved(tmp_path: Path) -> None:
    own, packed = data(0, b"own" * 3000), pack(bytes(range(256)) * 64)
    pieces = [own, packed, reference(MIB, own), reference(2 * MIB, packed, skip=512, length=4096)]
    document = documents.write(vms=[vm(disks=(disk(image=0),))], images=[image("web-1", "root", pieces)])

    take(tmp_path, document, "web-1")

    assert (tmp_path / "out").read_bytes() == disk_contents(document)["web-1/root"]


def test_a_reference_past_the_end_of_its_record_is_malformed(tmp_path: Path) -> None:
    own = data(0, b"own" * 3000)
    pieces = [own, reference(MIB, own, skip=8000, length=4096)]
    document = documents.write(vms=[vm(disks=(disk(image=0),))], images=[image("web-1", "root", pieces)])

    with pytest.raises(MalformedExport, match="past the end"):
        take(tmp_path, document, "web-1")


def test_a_stream_that_cannot_seek_is_spooled(tmp_path: Path) -> None:
    document = cluster_document(compress=True)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    feeder = threading.Thread(target=fifo.write_bytes, args=(document,))
    feeder.start()

    take(tmp_path, document, "web-1/root", source=str(fifo))
    feeder.join()

    assert (tmp_path / "out").read_bytes() == disk_contents(document)["web-1/root"]


def test_a_disk_does_not_go_to_standard_output(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard output"):
        take(tmp_path, cluster_document(), "web-1", output="-")


def test_an_output_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("kept")
    (tmp_path / "out").symlink_to("real")

    with pytest.raises(RefusedError, match="symbolic link"):
        take(tmp_path, cluster_document(), "web-1")

    assert (tmp_path / "real").read_text() == "kept"


def test_no_clobber_refuses_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")

    with pytest.raises(RefusedError, match="exists"):
        take(tmp_path, cluster_document(), "web-1", clobber=False)


@pytest.mark.parametrize(
    ("output", "error"), [("", UsageError), ("missing/out", StorageError), ("cluster.json", UsageError)]
)
def test_an_output_that_makes_no_sense_is_refused(tmp_path: Path, output: str, error: type[BlixardError]) -> None:
    with pytest.raises(error):
        take(tmp_path, cluster_document(), "web-1", output=f"{tmp_path}/{output}")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")

    def fail(operation: str, _path: str) -> None:
        if operation == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with files.observe(fail), pytest.raises(StorageError, match=r"(?i)no space"):
        take(tmp_path, cluster_document(), "web-1")

    assert (tmp_path / "out").read_text() == "old"
    assert leftovers(tmp_path) == ["out"]


def test_a_temporary_name_is_noted_where_there_is_a_data_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    options = ExtractOptions(source=put(tmp_path, cluster_document()), what="web-1", output=str(tmp_path / "out"))

    extract(options, progress=SILENT, home=Home(tmp_path / "data"))

    assert leftovers(tmp_path) == ["data", "out"]
    assert leftovers(tmp_path / "data") == ["pending"]
    assert leftovers(tmp_path / "data/pending") == []


@pytest.mark.parametrize(("key", "value"), [("size_bytes", 2 << 20), ("format", "qcow2")])
def test_a_disk_that_is_stated_otherwise_than_its_image_is_malformed(tmp_path: Path, key: str, value: object) -> None:
    def stated_otherwise(document: JsonObject) -> None:
        document["vms"]["web-1"]["disks"][0][key] = value

    with pytest.raises(MalformedExport, match=r"disk `web-1/root` is stated as .*, its image `2` is `raw`"):
        take(tmp_path, edited(cluster_document(), stated_otherwise), "web-1")

    assert leftovers(tmp_path) == []
