from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import zstandard

from blixard.errors import ExportFileError
from blixard.format.index import open_fast
from blixard.model.structs import ExportMetadata, Record
from support.documents import Outcome, contents, data, disk, head, image, noise, read, reference, vm, write
from support.inputs import BytesInput

BOTH = pytest.mark.parametrize("compress", [False, True])


def golden(*, compress: bool) -> bytes:
    """As small as a document with everything can be: each of its bits is flipped."""
    first = data(0, noise(40))
    return write(
        head(nodes=(), metadata=ExportMetadata()),
        [vm(disks=(disk(image=0, size_bytes=200),))],
        images=[image(pieces=[first, reference(100, first, skip=8)], size_bytes=200)],
        telemetry={"a": [{"b": 1}]},
        compress=compress,
    )


def outcome_of(document: bytes) -> tuple[Outcome, list[bytes]] | None:
    """What the document says, when it reads to its end and says itself that it is whole; None when damage shows."""
    try:
        outcome = read(document)
        if not outcome.end.report.intact:
            return None
        return outcome, contents(outcome)
    except (ExportFileError, zstandard.ZstdError, AssertionError, KeyError):
        # ours; or what decoding its records would meet, which is not the reader's part
        return None


def flips(document: bytes) -> Iterator[tuple[int, bytes]]:
    for bit in range(8 * len(document)):
        damaged = bytearray(document)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(damaged)


def assert_detected_or_harmless(damaged: bytes, whole: tuple[Outcome, list[bytes]], where: object) -> bool:
    """True when it was detected; what was not must say the same in every respect."""
    found = outcome_of(damaged)
    if found is None:
        return True
    assert found[0].end.report.document == whole[0].end.report.document, where
    assert found[0].state == whole[0].state, where
    assert found[0].telemetry == whole[0].telemetry, where
    assert found[1] == whole[1], where
    return False


@BOTH
def test_every_flipped_bit_is_detected_or_harmless(*, compress: bool) -> None:
    document = golden(compress=compress)
    whole = outcome_of(document)
    assert whole is not None

    found = [assert_detected_or_harmless(damaged, whole, bit) for bit, damaged in flips(document)]

    # what is harmless: the hints at the end, unused bits of base64, header fields of gzip members
    assert sum(found) > len(found) * (0.9 if compress else 0.6)


@BOTH
def test_every_truncation_is_detected_or_takes_only_white_space(*, compress: bool) -> None:
    document = golden(compress=compress)
    whole = outcome_of(document)
    assert whole is not None

    shorter = [size for size in range(len(document)) if outcome_of(document[:size]) is not None]

    assert shorter in ([], [len(document) - 1]) if not compress else [len(document) - 34]
    for size in shorter:
        assert_detected_or_harmless(document[:size], whole, size)


@BOTH
@pytest.mark.parametrize("size", range(1, 65))
def test_whatever_is_appended_is_refused(size: int, *, compress: bool) -> None:
    with pytest.raises(ExportFileError):
        read(golden(compress=compress) + noise(size, size))


@BOTH
def test_a_flipped_bit_never_leads_the_index_astray(*, compress: bool) -> None:
    document = golden(compress=compress)
    whole = read(document)

    for bit, damaged in flips(document):
        if bit % 7 == 0:
            assert_view_is_honest(damaged, whole, bit)


def assert_view_is_honest(damaged: bytes, whole: Outcome, where: int) -> None:
    """No view, or one that says the same, or one that says that something is wrong."""
    opened = open_fast(BytesInput(damaged))
    if opened is None:
        return
    with opened:
        if not opened.survey.report.intact:
            return
        assert opened.survey.state == whole.state, where
        records = attempt(lambda: [found.record for found in opened.records(0)])
        alone = attempt(lambda: [opened.record(0, position).record for position in range(2)])
    expected = [found.record for found in whole.records]
    assert records in (None, expected), where
    # a record alone is proven by its own digest only, when its data is decoded: its place may still be wrong
    assert alone is None or len(alone) == len(expected), where


def attempt(act: Callable[[], list[Record]]) -> list[Record] | None:
    try:
        return act()
    except ExportFileError:
        return None


@BOTH
def test_sections_of_two_documents_do_not_mix(*, compress: bool) -> None:
    one, other = golden(compress=False), write(head(cluster_name="other"), [vm(memory=999)], images=[])
    begin = one.index(b'"vms"')
    spliced = one[:begin] + other[other.index(b'"vms"') :]

    assert outcome_of(spliced) is None
