from __future__ import annotations

import gzip
import io
import json
import zlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from blixard.errors import InternalError, LimitExceeded
from blixard.format.envelope import index_offset
from blixard.format.records import encode_record
from blixard.format.writer import ExportWriter
from blixard.limits import Limits
from blixard.model.canonical import digest
from blixard.model.structs import Consistency, ExportMetadata
from support.documents import (
    Image,
    Piece,
    contents,
    data,
    disk,
    head,
    image,
    node,
    noise,
    pack,
    read,
    reference,
    sample,
    typical_vm,
    vm,
    write,
    write_sealed,
)

# a change of these bytes is a change of the format: review it like code
GOLDEN = Path(__file__).parents[2] / "golden"
KEYS = ["version", "exported_at", "cluster_name", "exported_by_node", "nodes", "vms", "raft_state", "metadata"]


class WriteOnly:
    """A sink that can do nothing but write, and takes a little at a time, as a device may."""

    def __init__(self, most: int = 1 << 30) -> None:
        self.content = b""
        self._most = most

    def write(self, piece: bytes) -> int:
        taken = bytes(piece[: self._most])
        self.content += taken
        return len(taken)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("images", [None, [], [image()], [image(failed="gone")]])
@pytest.mark.parametrize("vms", [[], [vm()]])
@pytest.mark.parametrize("telemetry", [None, {}, {"resourceMetrics": [{}]}])
def test_any_part_may_be_empty(*, compress: bool, images: list[Image], vms: list, telemetry: dict) -> None:  # type: ignore[type-arg]
    text = write(head(), vms, images=images, telemetry=telemetry, compress=compress)
    outcome = read(text)

    assert outcome.end.report.intact
    assert len(outcome.images) == len(images or ())
    assert ("images" in outcome.end.report.integrity.sections) == (images is not None)
    assert ("telemetry" in outcome.end.report.integrity.sections) == (telemetry is not None)


def test_the_state_is_json_with_an_indent_of_two() -> None:
    text = write(head(nodes=(node(1), node(2))), [typical_vm(number) for number in range(150)])

    assert text.decode() == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    assert list(json.loads(text)) == [*KEYS, "integrity"]


def test_a_record_is_one_line_that_starts_with_its_brace() -> None:
    lines = sample().splitlines()
    records = [line for line in lines if b'"blake3": "' in line]

    assert len(records) == 6
    assert all(line.startswith(b"{") and line.endswith((b"}", b"},")) for line in records)


def test_unknown_top_level_keys_stand_sorted_behind_the_eight() -> None:
    text = write(head(unknown={"b": 1, "a": {"y": 1, "x": 2}}), [], images=[])

    assert list(json.loads(text)) == [*KEYS, "a", "b", "images", "integrity", "record_tables", "index"]


def test_counts_are_filled_in_unless_they_are_given() -> None:
    assert json.loads(write(head(), [vm()]))["metadata"]["vm_count"] == 1
    given = head(metadata=ExportMetadata(node_count=7, vm_count=8))
    assert json.loads(write(given, [vm()]))["metadata"]["vm_count"] == 8


def test_nodes_stand_by_id() -> None:
    text = write(head(nodes=(node(3), node(1))))

    assert [one["id"] for one in json.loads(text)["nodes"]] == [1, 3]


def test_the_time_is_utc_whatever_the_zone_it_was_given_in() -> None:
    at = datetime(2026, 7, 27, 14, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))

    assert json.loads(write(head(exported_at=at)))["exported_at"] == "2026-07-27T12:00:00.000005Z"
    assert json.loads(write(head(exported_at=at.astimezone(UTC).replace(microsecond=0))))["exported_at"][-3:] == "00Z"


@pytest.mark.parametrize("compress", [False, True])
def test_the_same_content_gives_the_same_bytes(*, compress: bool) -> None:
    one = write(head(), [vm(labels={"a": "1", "b": "2"})], images=[image()], compress=compress)
    other = write(head(), [vm(labels={"b": "2", "a": "1"})], images=[image()], compress=compress)

    assert one == other


def test_the_text_is_the_golden_one_to_the_byte() -> None:
    assert sample() == (GOLDEN / "export-1.0.json").read_bytes()


@pytest.mark.parametrize("name", ["export-1.0.json", "export-1.0.json.gz"])
def test_a_file_of_every_version_that_was_released_reads_as_it_did(name: str) -> None:
    outcome = read((GOLDEN / name).read_bytes())

    assert outcome.end.report.intact
    assert contents(outcome) == contents(read(sample()))


def test_the_writer_says_what_the_reader_finds() -> None:
    text, integrity = write_sealed(head(), [vm()], images=[image(pieces=[data(0, b"x" * 5000)])], telemetry={"a": [{}]})
    report = read(text).end.report

    assert report.integrity.document == integrity.document == report.claimed
    assert report.integrity.images == integrity.images
    assert set(report.integrity.sections) == {*KEYS, "telemetry", "images"}


def test_digests_are_those_that_format_md_defines() -> None:
    text, integrity = write_sealed(head(), [vm()], images=[image(pieces=[data(0, noise(100)), pack(noise(50))])])
    parsed = json.loads(text)
    one = parsed["images"][0]
    lines = b"".join(canonical_line(record) for record in one["records"])
    keys = {key: value for key, value in one.items() if key not in ("digest", "records")}

    assert integrity.sections["cluster_name"] == digest("prod")
    assert integrity.sections["nodes"] == digest(parsed["nodes"])
    assert integrity.sections["vms"] == digest({"web-1": digest(parsed["vms"]["web-1"])})
    assert one["digest"] == digest({**keys, "records": blake3_hex(lines)})
    assert integrity.sections["images"] == digest([one["digest"]])
    assert integrity.document == digest(integrity.sections)


@pytest.mark.parametrize("compress", [False, True])
def test_a_disk_that_fails_half_way_leaves_a_valid_document(*, compress: bool) -> None:
    pieces = [data(0, noise(100)), data(4096, noise(200))]
    outcome = read(write(head(), [vm()], images=[image(pieces=pieces, failed="EIO"), image()], compress=compress))

    assert outcome.images[0].tail.data_bytes == 300
    assert outcome.images[0].tail.failed == "EIO"
    assert outcome.end.report.intact


def test_a_failure_that_names_a_path_of_no_encoding_is_written() -> None:
    outcome = read(write(head(), images=[image(failed="/srv/\udcff.raw: gone")]))

    assert outcome.images[0].tail.failed == "/srv/\\udcff.raw: gone"


def test_end_image_returns_the_tail_that_stands_in_the_file() -> None:
    sink = io.BytesIO()
    with ExportWriter(sink, compress=False) as writer:
        writer.write_state(head(), [])
        writer.begin_images()
        writer.begin_image(image().head)
        tail = writer.end_image(consistency=Consistency.CRASH)
        writer.finish()

    assert read(sink.getvalue()).images[0].tail == tail


@pytest.mark.parametrize("compress", [False, True])
def test_a_sink_needs_only_to_write_and_may_take_little(*, compress: bool) -> None:
    sink = WriteOnly(1000)
    with ExportWriter(sink, compress=compress) as writer:  # type: ignore[arg-type]
        writer.write_state(head(), [typical_vm(number) for number in range(50)])
        writer.finish()

    assert sink.content == write(head(), [typical_vm(number) for number in range(50)], compress=compress)


def test_without_layout_and_integrity_there_is_only_content() -> None:
    text = write(head(), [vm()], images=[image()], layout=False, integrity=False)

    assert list(json.loads(text)) == [*KEYS, "images"]
    assert not read(text).end.report.present


def test_the_plain_file_ends_with_its_own_offset() -> None:
    text = sample()
    at = int(text[-24:-4])

    assert text.endswith(b'"}}\n')
    assert text[at:].startswith(b'"index": {')


def test_the_gzip_file_ends_with_the_offset_of_the_index_member() -> None:
    stored = sample(compress=True)
    at = index_offset(stored)

    assert at is not None
    assert gzip.decompress(stored[at:]).startswith(b'"index": {"layout": "gzip"')


def test_offsets_in_the_index_are_of_the_first_byte_of_a_key() -> None:
    text = sample()
    index = json.loads(text)["index"]

    for key, at in (("images", "images_at"), ("telemetry",) * 2, ("integrity",) * 2, ("record_tables",) * 2):
        assert text[index[at] :].startswith(f'"{key}": '.encode())
    for row in index["images"]:
        assert text[row["at"] :].startswith(b"{")
        assert text[row["tail"] :].startswith(b'"data_bytes": ')
        assert text[row["at"] + row["stored_bytes"] : row["tail"]] == b"    ], "


def test_in_gzip_a_member_starts_at_every_offset_and_each_record_is_one() -> None:
    stored = sample(compress=True)
    parsed = json.loads(gzip.decompress(stored))
    index = parsed["index"]

    for key, at in (("images", "images_at"), ("telemetry",) * 2, ("integrity",) * 2, ("record_tables",) * 2):
        assert first_member(stored, index[at]).startswith(f'"{key}": '.encode())
    for row, lengths, one in zip(index["images"], parsed["record_tables"], parsed["images"], strict=True):
        at = row["at"]
        for length, record in zip(lengths, one["records"], strict=True):
            assert json.loads(gzip.decompress(stored[at : at + length]).rstrip(b",\n")) == record
            at += length
        assert first_member(stored, at) == b"    ], "
        assert first_member(stored, row["tail"]).startswith(b'"data_bytes": ')


def test_lengths_and_rows_spill_without_a_difference() -> None:
    pieces = [reference(number * 10, data(0, b"x" * 10)) for number in range(5000)]
    images = [image(pieces=pieces), image("b", "c", pieces[:10]), image("d")]

    assert write(head(), images=images, limits=Limits(spill_bytes=64)) == write(head(), images=images)


def test_vms_must_ascend() -> None:
    with pytest.raises(InternalError, match="`a` was written behind `b`"):
        write(head(), [vm("b"), vm("a")])
    with pytest.raises(InternalError):
        write(head(), [vm("a"), vm("a")])


def test_a_telemetry_element_that_no_reader_takes_is_not_written() -> None:
    with pytest.raises(LimitExceeded, match="telemetry_element_bytes"):
        write(head(), telemetry={"resourceLogs": [{"a": "x" * (4 << 20)}]})


def test_calls_out_of_order_are_bugs() -> None:
    piece: Piece = data(0, b"x")
    writer = ExportWriter(io.BytesIO(), compress=False)
    with writer:
        writer.write_state(head(), [])
        with pytest.raises(InternalError):
            writer.telemetry("a", {})
        with pytest.raises(InternalError):
            writer.begin_image(image().head)
        with pytest.raises(InternalError):
            writer.write_record(piece.record, piece.frame, encode_record(piece.record, piece.frame, compress=False))
        writer.begin_images()
        writer.begin_image(image().head)
        with pytest.raises(InternalError):
            writer.begin_image(image().head)
        with pytest.raises(InternalError):
            writer.end_image()
        with pytest.raises(InternalError):
            writer.finish()


def test_telemetry_of_one_key_stands_together() -> None:
    writer = ExportWriter(io.BytesIO(), compress=False)
    with writer:
        writer.write_state(head(), [])
        writer.begin_telemetry()
        writer.telemetry("resourceMetrics", {})
        writer.telemetry("resourceLogs", {})
        with pytest.raises(InternalError):
            writer.telemetry("resourceMetrics", {})


def test_the_guests_bytes_come_back() -> None:
    first, shared = data(0, noise(5000)), pack(noise(9000, 1))
    pieces = [first, shared, reference(8192, shared, skip=808, length=4096)]
    size = 1 << 20
    text = write(head(), [vm(disks=(disk(size_bytes=size, image=0),))], images=[image(pieces=pieces, size_bytes=size)])
    [content] = contents(read(text))

    assert content[:5000] == noise(5000)
    assert content[8192:12288] == noise(9000, 1)[808:4904]
    assert not any(content[5000:8192]) and not any(content[12288:])  # noqa: PT018 - one fact: holes are zeros


def canonical_line(record: dict[str, object]) -> bytes:
    """H's input for one record, from its definition."""
    kept = {key: record[key] for key in sorted(record) if key != "zstd"}
    return json.dumps(kept, separators=(",", ":")).encode() + b"\n"


def blake3_hex(content: bytes) -> str:
    from blake3 import blake3

    return blake3(content).hexdigest()


def first_member(stored: bytes, at: int) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(stored[at:])
