from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest

from blixard.errors import DigestMismatch, MalformedExport
from blixard.format.envelope import end_member, member
from blixard.format.index import FastView, open_fast
from blixard.format.skeleton import read_index
from blixard.limits import Limits
from support.documents import Outcome, data, disk, head, image, noise, read, reference, sample, typical_vm, vm, write
from support.inputs import BytesInput

BOTH = pytest.mark.parametrize("compress", [False, True])
MANY = 3000


def view(document: bytes) -> FastView:
    opened = open_fast(BytesInput(document))
    assert opened is not None
    return opened


def many(*, compress: bool) -> bytes:
    first = data(0, b"x" * 10)
    pieces = [first, *(reference(number * 10, first) for number in range(1, MANY))]
    return write(head(), [vm(disks=(disk(image=1),))], images=[image("a"), image(pieces=pieces)], compress=compress)


def edited_index(document: bytes, **changes: Any) -> bytes:
    """The plain document with other values in its index, its own offset kept right."""
    at = int(document[-24:-4])
    index = json.loads(b"{" + document[at:-1])["index"]
    for key, value in changes.items():
        name, _, row = key.partition("__")
        if row:
            index["images"][0][row] = value
        else:
            index[name] = value
    own = index.pop("self")
    return document[:at] + f'"index": {json.dumps(index)[:-1]}, "self": "{own}"}}}}\n'.encode()


class Counting(BytesInput):
    """Counts the bytes that were read."""

    taken = 0

    def read_at(self, offset: int, n: int) -> bytes:
        piece = super().read_at(offset, n)
        self.taken += len(piece)
        return piece


@BOTH
def test_the_view_says_what_a_whole_read_says(*, compress: bool) -> None:
    document = sample(compress=compress)
    whole: Outcome = read(document)
    with view(document) as opened:
        seen = opened.survey
        assert seen.state == whole.state
        assert [(each.image, each.head, each.tail) for each in seen.images.values()] == [
            (each.image, each.head, each.tail) for each in whole.images
        ]
        assert all(each.whole for each in seen.images.values())
        assert seen.report == whole.end.report
        assert seen.report.intact


@BOTH
def test_any_record_is_read_alone(*, compress: bool) -> None:
    document = sample(compress=compress)
    with view(document) as opened:
        for known in reversed(read(document).records):
            assert opened.record(known.image, known.position) == known


@BOTH
def test_all_records_of_an_image_are_read_in_order(*, compress: bool) -> None:
    document = sample(compress=compress)
    with view(document) as opened:
        assert [found for number in range(3) for found in opened.records(number)] == list(read(document).records)


@BOTH
def test_a_record_far_behind_is_found_among_thousands(*, compress: bool) -> None:
    with view(many(compress=compress)) as opened:
        for position in (0, 1, 1023, 1024, 1025, 2048, MANY - 1):
            assert opened.record(1, position).record.offset == position * 10


@BOTH
def test_a_place_is_where_the_record_is_stored(*, compress: bool) -> None:
    document = sample(compress=compress)
    with view(document) as opened:
        begin, end = opened.place(1, 2)
    stored = document[begin:end]

    assert json.loads(gzip.decompress(stored) if compress else stored)["skip"] == 4096


@BOTH
@pytest.mark.parametrize(("number", "position"), [(0, 2), (0, -1), (1, 10**9)])
def test_a_record_that_is_not_there_is_no_record(number: int, position: int, *, compress: bool) -> None:
    with view(sample(compress=compress)) as opened, pytest.raises(IndexError):
        opened.record(number, position)


@BOTH
def test_records_are_not_read(*, compress: bool) -> None:
    pieces = [data(number << 20, noise(1 << 20)) for number in range(20)]
    images = [image(pieces=pieces, size_bytes=1 << 30)]
    small = write(head(), [vm()], images=[image()], compress=compress)
    large = write(head(), [vm()], images=images, compress=compress)
    files = [Counting(document) for document in (small, large)]
    for file in files:
        assert open_fast(file) is not None

    assert files[1].taken < files[0].taken + 20_000


@BOTH
def test_a_document_without_images_has_no_index(*, compress: bool) -> None:
    assert open_fast(BytesInput(write(head(), [vm()], compress=compress))) is None


def test_a_document_that_was_reformatted_unpacked_or_packed_again_has_no_index() -> None:
    plain, packed = sample(), sample(compress=True)
    parsed = json.loads(plain)
    changed = [
        json.dumps(parsed, indent=2).encode(),
        json.dumps(parsed).encode() + b"\n",
        gzip.decompress(packed),
        gzip.compress(plain),
        plain + b"\n",
        plain[:-1],
        packed + member(b" ", 1),
        b"",
        b"x" * 99,
        b'"self": "' + b"0" * 20 + b'"}}\n',
        b"\x1f\x8b",
    ]

    for document in changed:
        assert open_fast(BytesInput(document)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"images_at": 0},
        {"images_at": 10**9},
        {"integrity": 5},
        {"record_tables": 1},
        {"telemetry": 1},
        {"layout": "gzip"},
        {"extra": 1},
        {"images": []},
        {"images__at": 1},
        {"images__tail": 0},
        {"images__tail": 10**12},
        {"images__stored_bytes": 0},
        {"images__stored_bytes": 10**12},
        {"images__vm": "other"},
        {"images__disk": "other"},
        {"images__size_bytes": 5},
        {"images__data_bytes": 5},
        {"images__at": -1},
    ],
)
def test_an_index_that_lies_is_no_index(changes: dict[str, Any]) -> None:
    assert open_fast(BytesInput(edited_index(sample(), **changes))) is None


@pytest.mark.parametrize("shift", [-1, 1, 7])
def test_offsets_that_are_a_little_off_are_no_index(shift: int) -> None:
    document = sample()
    index = json.loads(document)["index"]
    row = index["images"][0]

    for changes in (
        {key: index[key] + shift for key in ("images_at",)},
        {"integrity": index["integrity"] + shift},
        {"record_tables": index["record_tables"] + shift},
        {"telemetry": index["telemetry"] + shift},
        {"images__at": row["at"] + shift},
        {"images__tail": row["tail"] + shift},
        {"images__stored_bytes": row["stored_bytes"] + shift},
    ):
        assert open_fast(BytesInput(edited_index(document, **changes))) is None, changes


@pytest.mark.parametrize("offset", [0, 1, 10**15, (1 << 64) - 1])
def test_a_gzip_file_whose_end_lies_has_no_index(offset: int) -> None:
    document = sample(compress=True)

    assert open_fast(BytesInput(document[: -len(end_member(0))] + end_member(offset))) is None


def test_a_count_of_records_that_lies_is_found_when_tables_are_read() -> None:
    opened = view(edited_index(sample(), images__records=3))

    with pytest.raises(MalformedExport, match="record_tables"):
        opened.record(0, 0)


@pytest.mark.parametrize("tables", ["[[1], [1], [1]]", "[[], [], []]", "[]", "[[6801, 159], [11044, 109, 125], 5]"])
def test_tables_that_lie_are_found(tables: str) -> None:
    document = sample()
    found = re.search(rb'"record_tables": (\[.*?\n  \])', document, re.DOTALL)
    assert found is not None
    lied = document.replace(found[1], tables.encode().ljust(len(found[1])))

    with view(lied) as opened, pytest.raises(MalformedExport):
        opened.record(0, 0)


def test_tables_with_right_sums_and_wrong_lengths_are_found() -> None:
    document = sample()
    [first, second] = json.loads(document)["record_tables"][0]
    lied = document.replace(f"[{first},{second}]".encode(), f"[{second},{first}]".encode())

    with view(lied) as opened, pytest.raises(MalformedExport):
        opened.record(0, 1)


def test_a_record_that_is_not_what_the_digest_says_is_found() -> None:
    document = sample()
    at = document.index(b'"blake3": "') + len(b'"blake3": "')
    flipped = document[:at] + (b"0" if document[at : at + 1] != b"0" else b"1") + document[at + 1 :]

    with view(flipped) as opened, pytest.raises(DigestMismatch, match="`db-1`/`root`"):
        list(opened.records(0))


def test_an_edited_state_is_reported() -> None:
    assert view(sample().replace(b'"memory": 512', b'"memory": 513', 1)).survey.report.edited == ("vms",)


def test_an_edited_tail_is_reported() -> None:
    edited = sample().replace(b'"consistency": "stopped", "digest": "', b'"consistency": "unknown", "digest": "', 1)

    assert view(edited).survey.images[0].tail.consistency == "unknown"
    with view(edited) as opened, pytest.raises(DigestMismatch):
        list(opened.records(0))


@BOTH
def test_the_index_itself_is_read_alone(*, compress: bool) -> None:
    index = read_index(BytesInput(sample(compress=compress)))

    assert index is not None
    assert [row.records for row in index.images] == [2, 3, 1]
    assert index.layout == ("gzip" if compress else "plain")


def test_a_document_over_a_limit_has_no_view() -> None:
    document = write(head(), [typical_vm(number) for number in range(10)], images=[])

    assert open_fast(BytesInput(document), limits=Limits(vms=9)) is None
    assert open_fast(BytesInput(document)) is not None
