from __future__ import annotations

import gzip
import io
import re

import pytest

from blixard.errors import DigestMismatch, ExportFileError, LimitExceeded, MalformedExport
from blixard.format.events import DocumentEnd, Event, ImageBegun, ImageLost, ImageRead, RecordRead
from blixard.format.reader import read_export
from blixard.limits import Limits
from support.cluster_files import cluster_document, edited, nothing, record_place, sorted_by_key, with_damaged_record
from support.documents import MIB, data, disk, head, image, noise, vm, write

LAYOUTS = pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])


def read_in_part(document: bytes, *, limits: Limits = Limits()) -> list[Event]:  # noqa: B008 - frozen
    return list(read_export(io.BytesIO(document), limits=limits, skip_damaged=True))


def lost(events: list[Event]) -> dict[int, int]:
    """Lost images, each with the position of what was lost."""
    return {event.image: event.position for event in events if isinstance(event, ImageLost)}


def whole(events: list[Event]) -> list[int]:
    last = events[-1]
    assert isinstance(last, DocumentEnd)
    read = [event for event in events if isinstance(event, ImageRead)]
    assert all(event.digest == event.tail.digest for event in read if event.image not in last.report.damaged_images)
    return [event.image for event in read if event.image not in last.report.damaged_images]


def only_images(events: list[Event]) -> bool:
    last = events[-1]
    assert isinstance(last, DocumentEnd)
    return last.report.only_images


@LAYOUTS
def test_of_a_whole_document_the_events_are_those_of_the_strict_reader(*, compress: bool) -> None:
    document = cluster_document(compress=compress)

    assert read_in_part(document) == list(read_export(io.BytesIO(document)))


@LAYOUTS
@pytest.mark.parametrize(("number", "position"), [(0, 0), (0, 1), (1, 1), (1, 2), (2, 1), (3, 0)])
def test_a_lost_record_costs_its_image(number: int, position: int, *, compress: bool) -> None:
    document = cluster_document(compress=compress)
    begin, end = record_place(document, number, position)

    events = read_in_part(document[:begin] + b"\x01" * (end - begin - 1) + b"\n" + document[end:])

    assert lost(events) == {number: position}
    assert whole(events) == [each for each in range(4) if each != number]
    assert only_images(events)


def test_a_lost_image_still_gives_the_records_that_others_may_refer_to() -> None:
    document = cluster_document()
    begin, _ = record_place(document, 0, 0)

    events = read_in_part(document[:begin] + b"[" + document[begin + 1 :])

    given = [event.record.carries for event in events if isinstance(event, RecordRead) and event.image == 0]
    assert (lost(events), given) == ({0: 0}, [True])


def test_a_record_whose_place_is_wrong_gives_its_bytes_only() -> None:
    first, second = data(0, noise(5000)), data(MIB, noise(5000, 1))
    document = write(head(), [vm(disks=(disk(image=0),))], images=[image(pieces=[first, second])])

    events = read_in_part(document.replace(b'{"offset": 1048576', b'{"offset": 0000001'.replace(b"000000", b" " * 6)))

    records = [event.record for event in events if isinstance(event, RecordRead)]
    assert (lost(events), [record.offset for record in records]) == ({0: 1}, [0, None])


@LAYOUTS
def test_with_the_tail_of_an_image_the_head_of_the_next_is_lost(*, compress: bool) -> None:
    document = cluster_document(compress=compress)
    _, end = record_place(document, 1, 2)
    begin, _ = record_place(document, 2, 0)

    events = read_in_part(document[:end] + b"#" * (begin - end - 1) + b"\n" + document[begin:])

    assert whole(events) == [0, 3]
    assert only_images(events)


@LAYOUTS
def test_an_image_that_vanished_whole_does_not_shift_the_numbers_of_the_others(*, compress: bool) -> None:
    document = cluster_document(compress=compress)
    _, begin = record_place(document, 0, 1)
    end, _ = record_place(document, 2, 0)

    events = read_in_part(document[:begin] + b"#" * (end - begin - 1) + b"\n" + document[end:])

    assert whole(events) == [3]
    assert only_images(events)


@LAYOUTS
def test_the_last_tail_may_be_lost(*, compress: bool) -> None:
    document = cluster_document(compress=compress)
    _, begin = record_place(document, 3, 0)
    end = begin + re.compile(rb"\n  \],|\x1f\x8b\x08\0\0\0\0\0").search(document[begin + 40 :]).start() + 40  # type: ignore[union-attr]

    events = read_in_part(document[:begin] + b"#" * (end - begin) + document[end:])

    assert (list(lost(events)), whole(events), only_images(events)) == ([3], [0, 1, 2], True)


def test_a_head_whose_number_cannot_be_told_is_lost() -> None:
    """Without `integrity` only the state says which disk an image is."""
    first, second, third = (data(0, noise(5000, seed)) for seed in range(3))
    document = write(
        head(),
        [vm(disks=(disk("a", image=0), disk("b", image=1), disk("c", image=2)))],
        images=[image(disk=name, pieces=[piece]) for name, piece in (("a", first), ("b", second), ("x", third))],
        integrity=False,
    )
    begin, _ = record_place(document, 1, 0)

    events = read_in_part(document[:begin] + b"[" + document[begin + 1 :])

    assert (list(lost(events)), whole(events)) == ([1, 2], [0])


@LAYOUTS
def test_damage_in_the_state_is_not_skipped(*, compress: bool) -> None:
    document = cluster_document(compress=compress)

    with pytest.raises(MalformedExport):
        read_in_part(document[:300] + b"\x01" * 30 + document[330:])


@LAYOUTS
def test_damage_in_the_digests_is_not_skipped(*, compress: bool) -> None:
    document = cluster_document(compress=compress)
    at = document.index(b'"integrity"') if not compress else len(document) - 900

    with pytest.raises(ExportFileError):
        read_in_part(document[:at] + b"\x01" * 30 + document[at + 30 :])


@LAYOUTS
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_document_that_was_cut_short_is_no_document(part: float, *, compress: bool) -> None:
    document = cluster_document(compress=compress)

    with pytest.raises(MalformedExport, match="ends early"):
        read_in_part(document[: int(len(document) * part)])


@pytest.mark.parametrize("other", [lambda text: edited(text, nothing), sorted_by_key], ids=["jq", "jq -S"])
def test_a_document_of_another_layout_is_read_strictly(other: object) -> None:
    text: bytes = other(cluster_document())  # type: ignore[operator]
    at = text.index(b'"zstd"')

    with pytest.raises(MalformedExport):
        read_in_part(text[:at] + b"'" + text[at + 1 :])


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_damaged_member_that_holds_some_of_the_state_is_not_skipped(pieces: int) -> None:
    """Recompressed by somebody else: members end anywhere."""
    text = cluster_document()
    size = -(-len(text) // pieces)
    members = [gzip.compress(text[at : at + size], mtime=0) for at in range(0, len(text), size)]
    members[0] = members[0][:-8] + b"####" + members[0][-4:]

    with pytest.raises(MalformedExport, match="the gzip member at byte `0` is damaged"):
        read_in_part(b"".join(members))


def test_without_the_option_a_damaged_member_of_a_record_is_a_mismatch() -> None:
    document = with_damaged_record(cluster_document(compress=True), 2, 1)

    with pytest.raises(DigestMismatch, match="gzip member at byte"):
        list(read_export(io.BytesIO(document)))


def test_all_that_stands_before_damage_is_read_before_its_error() -> None:
    document = with_damaged_record(cluster_document(compress=True), 2, 1)
    events: list[Event] = []

    with pytest.raises(DigestMismatch):
        events.extend(read_export(io.BytesIO(document)))
    begun = []
    for event in _until_the_end(document):
        begun += [event.image] if isinstance(event, ImageBegun) else []

    assert begun == [0, 1, 2]


def _until_the_end(document: bytes) -> list[Event]:
    events: list[Event] = []
    try:
        for event in read_export(io.BytesIO(document)):
            events.append(event)  # noqa: PERF402 - it ends with an error
    except DigestMismatch:
        pass
    return events


@LAYOUTS
def test_a_bound_that_is_passed_is_not_skipped(*, compress: bool) -> None:
    with pytest.raises(LimitExceeded):
        read_in_part(cluster_document(compress=compress), limits=Limits(record_bytes=4096))


def test_a_line_without_an_end_meets_its_bound() -> None:
    document = cluster_document()
    begin, _ = record_place(document, 0, 1)

    with pytest.raises(LimitExceeded, match="record_text_bytes"):
        read_in_part(document[:begin] + b"#" * 200_000, limits=Limits(record_text_bytes=150_000))


@LAYOUTS
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("line", [b"x", b'  ], "evil": garbage', b'"tail": 1}'])
def test_what_was_put_between_whole_images_is_no_document(line: bytes, number: int, *, compress: bool) -> None:
    document = cluster_document()
    begin, _ = record_place(document, number, 0)
    head_begin = document.rfind(b"\n", 0, begin - 1) + 1
    text = document[:head_begin] + line + b"\n" + document[head_begin:]

    with pytest.raises(MalformedExport):
        read_in_part(gzip.compress(text) if compress else text)
    with pytest.raises(MalformedExport):
        list(read_export(io.BytesIO(text)))
