from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from blixard.errors import LimitExceeded, MalformedExport, UnsupportedVersion
from blixard.format.events import DocumentEnd, ImageBegun, ImageRead, RecordRead, StateRead, TelemetryRead
from blixard.format.reader import read_export
from blixard.limits import DEFAULT, MIB, Limits
from blixard.model.structs import DiskFormat, ImageHead
from support.documents import (
    contents,
    data,
    disk,
    events,
    head,
    image,
    node,
    noise,
    read,
    sample,
    typical_vm,
    vm,
    write,
)

SAMPLE = sample()
ORIGINAL: dict[str, Any] = {
    "vms": {
        "web": {
            "name": "web", "config_path": "/etc/web.nix", "vcpus": 2, "memory": 512, "tenant_id": "default",
            "ip_address": None, "metadata": {"owner": "ops"},
            "anti_affinity": {"rules": [{"rule_type": {"Soft": {"weight": 1.0}}, "group_key": "web", "scope": "node"}]},
            "priority": 500, "preemptible": True, "locality_preference": {}, "health_check_config": None,
        }
    },
    "metadata": {"vm_count": 1, "node_count": 1, "telemetry_included": False},
    "exported_by_node": 1,
    "raft_state": {"term": 7, "leader_id": None, "members": [1, 18446744073709551615]},
    "nodes": [
        {
            "id": 18446744073709551615, "data_dir": "/d", "bind_addr": "10.0.0.1:7001", "join_addr": None,
            "use_tailscale": False, "vm_backend": "microvm", "transport_config": None,
            "topology": {"datacenter": "a", "zone": "b", "rack": "c"},
        }
    ],
    "exported_at": "2025-03-01T10:20:30.123456789+02:00",
    "version": "1.0",
    "cluster_name": "old",
}  # fmt: skip


def reordered(document: bytes, *last: str) -> bytes:
    parsed = json.loads(document)
    return json.dumps({key: parsed[key] for key in (*(key for key in parsed if key not in last), *last)}).encode()


def test_a_file_of_the_original_is_read() -> None:
    outcome = read(json.dumps(ORIGINAL).encode())

    assert outcome.state.head.exported_at == datetime(2025, 3, 1, 8, 20, 30, 123456, tzinfo=UTC)
    assert outcome.state.head.raft_state.members == (1, 2**64 - 1)
    assert outcome.state.nodes[0].node.id == 2**64 - 1
    assert outcome.state.vms["web"].given == ORIGINAL["vms"]["web"]
    assert not outcome.end.report.present
    assert outcome.end.report.edited == ()


def test_events_come_in_the_order_of_the_document() -> None:
    kinds = [type(event) for event in events(SAMPLE)]

    assert kinds[:5] == [TelemetryRead, TelemetryRead, TelemetryRead, StateRead, ImageBegun]
    assert kinds[-3:] == [RecordRead, ImageRead, DocumentEnd]


def test_the_state_comes_at_the_end_when_a_key_of_it_stands_behind_the_images() -> None:
    kinds = [type(event) for event in events(reordered(SAMPLE, "metadata"))]

    assert kinds.index(StateRead) == len(kinds) - 2


def test_an_image_whose_size_stands_behind_its_records_begins_without_a_head() -> None:
    parsed = json.loads(SAMPLE)
    parsed["images"] = [dict(sorted(one.items(), key=lambda pair: pair[0] != "records")) for one in parsed["images"]]
    found = events(json.dumps(parsed).encode())

    assert [event.head for event in found if isinstance(event, ImageBegun)] == [None, None, None]
    assert [event for event in found if isinstance(event, ImageRead)] == list(read(SAMPLE).images)


@pytest.mark.parametrize("indent", [None, 0, 1, 2, 8])
@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_reformatting_changes_nothing(indent: int | None, *, sort: bool, compress: bool) -> None:
    text = json.dumps(json.loads(SAMPLE), indent=indent, sort_keys=sort, ensure_ascii=sort).encode()
    outcome = read(gzip.compress(text) if compress else text)
    before = read(SAMPLE)

    assert outcome.end.report.intact
    assert outcome.end.report.document == before.end.report.document
    assert outcome.end.report.compressed == compress
    assert outcome.state == before.state
    assert contents(outcome) == contents(before)


def test_a_stream_of_single_bytes_reads_the_same() -> None:
    class Drip(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(1 if size else size)

    assert list(read_export(Drip(SAMPLE))) == events(SAMPLE)


def test_many_vms_read_the_same_in_any_layout() -> None:
    vms = [typical_vm(number) for number in range(500)]
    pretty = write(head(), vms)
    parsed = json.loads(pretty)
    expected = {one.name: one for one in vms}

    for text in (pretty, json.dumps(parsed).encode(), json.dumps(parsed, indent=7).encode()):
        outcome = read(text)
        assert {name: incoming.vm for name, incoming in outcome.state.vms.items()} == expected
        assert outcome.end.report.intact


def test_one_odd_vm_among_many_is_read_like_the_others() -> None:
    vms = [typical_vm(number) for number in range(200)]
    vms[77] = msgspec.structs.replace(vms[77], boot={"weight": 1.5, "text": "ü\n"}, unknown={"gpu": 1})
    outcome = read(write(head(), vms))

    assert [incoming.vm for incoming in outcome.state.vms.values()] == vms
    assert outcome.end.report.intact


def test_a_duplicate_far_apart_among_many_is_found() -> None:
    text = write(head(), [typical_vm(number) for number in range(500)])
    doubled = text.replace(b'"web-000499"', b'"web-000003"')

    with pytest.raises(MalformedExport, match="duplicate key `web-000003`"):
        read(doubled)


def test_unknown_keys_are_kept_wherever_they_stand() -> None:
    parsed = json.loads(SAMPLE)
    outcome = read(json.dumps({"x-first": 1.0, **parsed, "x-last": {"a": [1]}}).encode())

    assert outcome.state.head.unknown == {"x-first": 1}
    assert outcome.end.late == {"x-last": {"a": [1]}}
    assert set(outcome.end.report.edited) == {"x-first", "x-last"}


def test_a_file_of_a_newer_minor_version_verifies() -> None:
    newer = head(version="1.7", unknown={"quotas": {"b": 1, "a": [1.5]}}, nodes=(node(unknown={"gpu": [1]}),))
    outcome = read(write(newer, [vm(unknown={"tpm": {"z": 1, "a": 2}})]))

    assert outcome.end.report.intact
    assert outcome.state.head.version == "1.7"
    assert outcome.state.head.unknown == newer.unknown
    assert outcome.state.nodes[0].node == newer.nodes[0]
    assert outcome.state.vms["web-1"].vm.unknown == {"tpm": {"a": 2, "z": 1}}


@pytest.mark.parametrize(
    ("pointer", "value", "edited"),
    [
        (("cluster_name",), "other", {"cluster_name"}),
        (("vms", "web-1", "memory"), 513, {"vms"}),
        (("nodes", 0, "data_dir"), "/x", {"nodes"}),
        (("telemetry", "resourceLogs", 1, "a"), "u", {"telemetry"}),
        (("metadata", "unheard"), 1, {"metadata"}),
        (("images", 0, "consistency"), "crash", {"images"}),
        (("images", 0, "records", 0, "blake3"), "0" * 64, {"images"}),
        (("images", 1, "records", 2, "skip"), 4000, {"images"}),
        (("integrity", "sections", "vms"), "0" * 64, {"vms", "integrity"}),
        (("integrity", "document"), "0" * 64, {"integrity"}),
        (("integrity", "images", 1), "0" * 64, {"integrity"}),
    ],
)
def test_an_edit_names_its_section(pointer: tuple[str | int, ...], value: Any, edited: set[str]) -> None:
    parsed = json.loads(SAMPLE)
    place = parsed
    for step in pointer[:-1]:
        place = place[step]
    place[pointer[-1]] = value
    report = read(json.dumps(parsed).encode()).end.report

    assert set(report.edited) == edited
    assert not report.intact


def test_a_section_that_was_taken_out_is_edited() -> None:
    parsed = json.loads(SAMPLE)
    del parsed["telemetry"]

    assert read(json.dumps(parsed).encode()).end.report.edited == ("telemetry",)


def test_the_text_of_a_frame_is_not_part_of_any_digest() -> None:
    report = read(SAMPLE.replace(b'"zstd": "K', b'"zstd": "L', 1)).end.report

    assert report.intact


def test_damaged_images_are_numbered() -> None:
    parsed = json.loads(SAMPLE)
    parsed["images"][1]["records"][0]["blake3"] = "0" * 64
    parsed["integrity"]["images"][2] = "1" * 64

    assert read(json.dumps(parsed).encode()).end.report.damaged_images == (1, 2)


def test_an_image_tells_its_computed_digest() -> None:
    parsed = json.loads(SAMPLE)
    parsed["images"][0]["digest"] = "0" * 64
    found = read(json.dumps(parsed).encode())

    assert found.images[0].tail.digest == "0" * 64
    assert found.images[0].digest == read(SAMPLE).images[0].digest
    assert found.end.report.damaged_images == (0,)


def test_a_failed_image_says_why() -> None:
    assert read(SAMPLE).images[2].tail.failed == "`/srv/web-1.raw`: read: input/output error"


def test_an_image_that_nobody_names_is_read() -> None:
    text = write(head(), [vm()], images=[image("gone", "disk", [data(0, noise(100))])])

    assert read(text).images[0].head == ImageHead(vm="gone", disk="disk", format=DiskFormat.RAW, size_bytes=4 * MIB)


def test_a_file_of_its_full_size_travels_inline_however_it_is_escaped() -> None:
    files = [
        {"role": "config", "name": "a", "text": "\n" * MIB},
        {"role": "seed", "name": "b", "base64": "QUJD" * (MIB // 3)},
    ]
    parsed = json.loads(write(head(), [vm()]))
    parsed["vms"]["web-1"]["files"] = files
    outcome = read(json.dumps(parsed).encode())

    assert outcome.state.vms["web-1"].given["files"] == files


def test_a_record_of_its_full_size_is_read() -> None:
    full = data(0, noise(DEFAULT.record_bytes))
    text = write(
        head(), [vm(disks=(disk(size_bytes=32 * MIB, image=0),))], images=[image(pieces=[full], size_bytes=32 * MIB)]
    )

    assert read(text).records[0].record == full.record


def test_the_other_version_is_told_before_anything_odd_that_stands_earlier() -> None:
    text = b'{"images": 7, "nodes": 5, "x": "version", "metadata": {"exporter": "blixard 9"}, "version": "2.0"}'

    with pytest.raises(UnsupportedVersion, match=r"unsupported export format version `2\.0`"):
        read(text)


def test_the_writer_of_another_version_is_named_also_when_it_stands_behind() -> None:
    text = b'{"version": "2.0", "vms": {"a": [1, {"metadata": 2}]}, "metadata": {"exporter": "blixard 9"}}'

    with pytest.raises(UnsupportedVersion, match="written by `blixard 9`"):
        read(text)


def test_the_writer_of_another_version_is_named_also_when_it_stands_before() -> None:
    with pytest.raises(UnsupportedVersion, match="written by `blixard 9`"):
        read(b'{"metadata": {"exporter": "blixard 9"}, "version": "2.0"}')


def test_an_oddity_of_this_version_stays_what_it_is() -> None:
    with pytest.raises(MalformedExport, match="an array"):
        read(b'{"images": 7, "version": "1.4"}')


def test_a_cut_document_says_at_which_byte_it_ends() -> None:
    with pytest.raises(MalformedExport, match="ends early, at byte `1000`") as caught:
        read(SAMPLE[:1000])

    assert caught.value.hint


def test_a_limit_names_itself_and_can_be_raised() -> None:
    text = write(head(), [typical_vm(number) for number in range(20)])

    with pytest.raises(LimitExceeded, match="over the limit `vms`"):
        read(text, limits=Limits(vms=19))
    assert len(read(text, limits=Limits(vms=20)).state.vms) == 20


def test_nothing_is_read_before_it_is_asked_for() -> None:
    class Closed(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError(size)

    read_export(Closed())
