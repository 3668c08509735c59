from __future__ import annotations

from collections.abc import Iterable

import pytest

from blixard.disks.records.verify import Damage, RecordsReport, Verifier
from blixard.errors import MalformedExport
from blixard.limits import KIB, MIB, Limits
from blixard.model.structs import Record
from support.disks import mixed_disk
from support.staging import Image, data_record, document, head_of, reference

LOST = b"\1" * 32


def verify(images: Iterable[Image], *, threads: int = 2, limits: Limits | None = None) -> RecordsReport:
    with Verifier(threads=threads, limits=limits or Limits()) as verifier:
        for number, image in enumerate(images):
            for position, (record, frame) in enumerate(image.records):
                verifier.put(number, position, record, None if frame is None else frame.__bytes__)
        return verifier.finish()


def test_a_whole_document_has_no_damage() -> None:
    images = document([mixed_disk(seed, 50) for seed in range(3)])

    report = verify(images)

    assert report.damaged == ()
    assert report.damaged_images == frozenset()
    assert report.records == sum(len(image.records) for image in images)
    assert report.data_bytes == sum(record.length for image in images for record, _ in image.records)


@pytest.mark.parametrize("threads", [1, 3])
def test_all_damage_is_reported_in_document_order_and_spreads_along_references(threads: int) -> None:
    good, lost = data_record(0, b"good" * 999), data_record(MIB, b"lost" * 999)
    images = [
        Image(head_of(4 * MIB, "a"), (good, (lost[0], lost[1][:-3]), (Record(2 * MIB, 3996, LOST, True), good[1]))),
        Image(head_of(4 * MIB, "b"), (reference(0, 99, b"good" * 999, 7),)),
        Image(head_of(4 * MIB, "c"), (reference(0, 99, b"good" * 999, 7), reference(MIB, 99, b"lost" * 999))),
    ]

    report = verify(images, threads=threads)

    assert [(damage.image, damage.position, damage.offset) for damage in report.damaged] == [
        (0, 1, MIB),
        (0, 2, 2 * MIB),
        (2, 1, MIB),
    ]
    assert report.damaged_images == {0, 2}
    assert "does not match" not in report.damaged[0].problem
    assert "do not match its blake3" in report.damaged[1].problem
    assert "which is damaged" in report.damaged[2].problem


def test_a_damaged_pack_damages_what_is_taken_from_it() -> None:
    record, frame = data_record(None, b"pack" * 999)
    image = Image(head_of(MIB), ((record, frame[:-3]), reference(0, 10, b"pack" * 999)))

    report = verify([image])

    assert [(damage.position, damage.offset) for damage in report.damaged] == [(0, None), (1, 0)]


def test_a_reference_to_nothing_is_malformed() -> None:
    with pytest.raises(MalformedExport, match="which no earlier record holds"):
        verify([Image(head_of(MIB), (reference(0, 10, b"nothing"),))])


def test_a_record_over_the_limit_is_damage_that_names_the_limit() -> None:
    report = verify([Image(head_of(MIB), (data_record(0, b"x" * 5000),))], limits=Limits(record_bytes=4 * KIB))

    assert "record_bytes" in report.damaged[0].problem


def test_noise_is_counted_in_full_and_listed_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blixard.disks.records.verify.LISTED", 3)
    records = tuple((Record(offset, 1, LOST, True), b"noise") for offset in range(10))

    report = verify([Image(head_of(MIB), records)])

    assert report.damaged_records == 10
    assert len(report.damaged) == 3
    assert all(isinstance(damage, Damage) for damage in report.damaged)
