from __future__ import annotations

import gzip
import io
import json

import pytest

from blixard.errors import MalformedExport
from blixard.format.cursor import Cursor
from blixard.format.digests import record_line
from blixard.format.envelope import PlainText
from blixard.format.records import encode_record, frame, read_record
from blixard.limits import DEFAULT
from blixard.model.canonical import canonical
from blixard.model.structs import Record
from support.documents import Piece, data, noise, pack, reference

FIRST = data(4096, noise(5000))
PACK = pack(noise(3000))
HOLLOW = Piece(FIRST.record, b"")
KINDS = [FIRST, PACK, HOLLOW, reference(1 << 40, PACK), reference(0, FIRST, skip=100, length=50)]


def cursor(text: bytes) -> Cursor:
    return Cursor(PlainText(io.BytesIO(text)), DEFAULT)


def line(piece: Piece, *, compress: bool = False, last: bool = True) -> bytes:
    return b"".join(encode_record(piece.record, piece.frame, compress=compress, last=last))


@pytest.mark.parametrize("piece", KINDS)
def test_a_record_is_one_line_and_comes_back(piece: Piece) -> None:
    stored = line(piece)
    record, text, form = read_record(cursor(stored))

    assert stored.count(b"\n") == 1
    assert stored.endswith(b"}\n")
    assert record == piece.record
    assert (None if text is None else frame(text)) == piece.frame
    assert form == record_line(piece.record)


@pytest.mark.parametrize("piece", KINDS)
@pytest.mark.parametrize("indent", [None, 0, 4])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_keys_and_white_space_do_not_matter(piece: Piece, indent: int | None, *, reverse: bool) -> None:
    pairs = list(json.loads(line(piece)).items())
    text = json.dumps(dict(reversed(pairs) if reverse else pairs), indent=indent).encode()

    assert read_record(cursor(text)) == read_record(cursor(line(piece)))


def test_escapes_and_whole_doubles_do_not_matter() -> None:
    text = line(FIRST).replace(b'"length": 5000', b'"le\\u006egth": 5.0e3').replace(b"/", b"\\/")

    assert read_record(cursor(text)) == read_record(cursor(line(FIRST)))


@pytest.mark.parametrize("piece", [HOLLOW, *KINDS[3:], data(7, b"seven")])
def test_every_slip_of_the_pen_is_read_as_the_strict_reader_reads_it(piece: Piece) -> None:
    written = line(piece).rstrip()
    slips = [
        written[:at] + new + written[at + 1 :] for at in range(len(written)) for new in (b"", b'"', b"0", b" ", b"}")
    ]
    for slip in slips:
        escaped = slip.replace(b"length", b"le\\u006egth", 1)  # which only the strict reader takes

        assert outcome(slip) == outcome(escaped), slip


def outcome(text: bytes) -> object:
    try:
        return read_record(cursor(text + b"\n"))
    except MalformedExport as problem:
        return type(problem)


@pytest.mark.parametrize("piece", KINDS)
def test_the_canonical_line_is_that_of_the_object(piece: Piece) -> None:
    given = {key: value for key, value in json.loads(line(piece)).items() if key != "zstd"}

    assert record_line(piece.record) == canonical(given) + b"\n"


def test_an_explicit_skip_of_nothing_counts_in_the_canonical_line() -> None:
    plain = line(reference(0, PACK))
    record, _, form = read_record(cursor(plain.replace(b"}", b', "skip": 0}')))

    assert record == reference(0, PACK).record
    assert form == record_line(record).replace(b"}", b',"skip":0}')


def test_all_but_the_last_have_a_comma() -> None:
    plain = line(FIRST, last=False)

    assert plain == line(FIRST)[:-1] + b",\n"
    assert gzip.decompress(line(FIRST, compress=True, last=False)) == plain
    assert gzip.decompress(line(FIRST, compress=True)) == line(FIRST)


def test_a_text_longer_than_the_buffer_is_read() -> None:
    big = data(0, noise(5_000_000))

    assert read_record(cursor(line(big)))[0] == big.record


@pytest.mark.parametrize("text", ["", "QUJD", "QQ=="])
def test_the_text_of_a_frame_is_padded_base64(text: str) -> None:
    assert frame(text) == {"": b"", "QUJD": b"ABC", "QQ==": b"A"}[text]


@pytest.mark.parametrize("text", ["Q", "QQ", "QQ=", "QQ=A", "Q Q=", "QQ==\n", "QQ==QUJD", "Q-_=", "ü", "QUJD\x01"])
def test_anything_else_is_no_frame(text: str) -> None:
    with pytest.raises(MalformedExport, match="not base64"):
        frame(text)


def test_a_record_of_no_offset_is_a_pack() -> None:
    assert record_line(Record(None, 5, b"\0" * 32, carries=True)) == b'{"blake3":"%b","length":5}\n' % (b"0" * 64)
