"""A stored record gives the same frame by the short way, for lines as we write them, as by the reader."""

from __future__ import annotations

import pytest

from blixard.disks.records.frames import make_frame
from blixard.errors import MalformedExport
from blixard.format.hollow import stored_frame
from blixard.format.records import encode_record
from blixard.model.structs import Record

FRAME = make_frame(bytes(range(256)) * 40)
DIGEST = bytes(range(32))
RECORDS = [
    Record(0, 10240, DIGEST, carries=True, skip=0),
    Record(1 << 40, 10240, DIGEST, carries=True, skip=0),
    Record(None, 10240, DIGEST, carries=True, skip=0),
]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("last", [False, True], ids=["followed", "last"])
@pytest.mark.parametrize("record", RECORDS, ids=["at 0", "far", "in a pack"])
def test_a_line_of_ours_gives_its_digest_and_its_frame(record: Record, last: bool, compressed: bool) -> None:  # noqa: FBT001 - from pytest
    stored = b"".join(encode_record(record, FRAME, compress=compressed, last=last))

    assert stored_frame(stored, compressed=compressed) == (DIGEST, FRAME)


def test_a_line_that_somebody_else_wrote_is_read_too() -> None:
    stored = b"".join(encode_record(RECORDS[0], FRAME, compress=False))
    spaced = stored.replace(b'": "', b'" :  "').replace(b'"},', b'" } ,')

    assert spaced != stored
    assert stored_frame(spaced, compressed=False) == (DIGEST, FRAME)


@pytest.mark.parametrize(
    "text",
    [b"AA\\u0041A", b"AAA", b'AA"AA', b"AA AA", b'AAAA", "skip": "AAAA', b"A\xc3\xa4A"],
    ids=["escaped", "not padded", "quote inside", "space", "another key", "not ASCII"],
)
def test_what_is_no_base64_is_refused(text: bytes) -> None:
    empty = b"".join(encode_record(RECORDS[0], b"", compress=False))
    stored = empty.replace(b'"zstd": ""', b'"zstd": "' + text + b'"')

    with pytest.raises(MalformedExport):
        stored_frame(stored, compressed=False)


def test_a_reference_has_no_frame() -> None:
    stored = b"".join(encode_record(Record(0, 10240, DIGEST, carries=False, skip=0), None, compress=False))

    with pytest.raises(MalformedExport):
        stored_frame(stored, compressed=False)
