from __future__ import annotations

import gzip
import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from blixard.format.reader import read_export
from blixard.format.strict_json import parse_exactly
from blixard.format.vm_windows import parse_vms
from blixard.model.canonical import canonical as encode
from blixard.model.canonical import digest
from blixard.model.codec import to_object
from blixard.model.structs import Disk, Vm
from support.documents import (
    Piece,
    contents,
    data,
    disk,
    head,
    image,
    node,
    pack,
    read,
    reference,
    vm,
    write_sealed,
)

plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
free = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
    max_leaves=6,
)


def name_of(one: Vm | Disk) -> str:
    return one.name


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
vms = st.builds(
    vm,
    name=names,
    labels=st.dictionaries(plain_text, plain_text, max_size=3),
    boot=st.none() | st.dictionaries(plain_text, free, max_size=3),
    vcpus=st.integers(1, 2**32 - 1),
    node_id=st.none() | st.integers(0, 2**64 - 1),
    disks=st.lists(st.builds(disk, name=names), max_size=3, unique_by=name_of).map(tuple),
)
clusters = st.lists(vms, max_size=5, unique_by=name_of).map(lambda found: sorted(found, key=name_of))
PIECES = (
    b'"a":1,',
    b'"boot":null,',
    b'"boot":{"a":1.0},',
    b'"unknown":{},',
    b"0",
    b"1",
    b".0",
    b"e0",
    b" ",
    b"\\u0061",
)
unknown = st.dictionaries(plain_text.map("x-".__add__), free, max_size=3)


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same JSON with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    return value


def normal(value: Any) -> str:
    """What the format keeps of a value: 1.0 and 1 are the same."""
    return digest(value)


@given(
    found=clusters,
    extra=unknown,
    logs=st.lists(st.dictionaries(plain_text, free, max_size=2), max_size=3),
    compress=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read(found: list[Vm], extra: dict[str, Any], logs: list[Any], *, compress: bool) -> None:
    written = head(unknown=extra, nodes=(node(unknown={"gpu": extra}),) if extra else (node(),))
    document, integrity = write_sealed(written, found, telemetry={"resourceLogs": logs}, compress=compress)
    outcome = read(document)

    assert outcome.end.report.intact
    assert outcome.end.report.integrity.document == integrity.document
    assert [normal(one.vm) for one in outcome.state.vms.values()] == [normal(one) for one in found]
    assert normal(outcome.state.head.unknown) == normal(extra)
    assert [normal(one.element) for one in outcome.telemetry] == [normal(one) for one in logs]


@given(
    found=clusters,
    extra=unknown,
    chance=st.randoms(use_true_random=False),
    indent=st.sampled_from([None, 0, 1, 2, 3]),
    escape=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_no_reformatting_changes_the_digest(
    found: list[Vm], extra: dict[str, Any], chance: random.Random, indent: int | None, *, escape: bool
) -> None:
    document, integrity = write_sealed(head(unknown=extra), found, images=[])
    again = json.dumps(shuffled(json.loads(document), chance), indent=indent, ensure_ascii=escape).encode()
    outcome = read(gzip.compress(again, compresslevel=1))

    assert outcome.end.report.intact
    assert outcome.end.report.document == integrity.document


@given(
    found=clusters,
    chance=st.randoms(use_true_random=False),
    piece=st.sampled_from(PIECES),
    indent=st.none() | st.just(2),
)
@settings(max_examples=300, deadline=None)
def test_vms_read_at_once_are_what_the_exact_decoder_reads(
    found: list[Vm], chance: random.Random, piece: bytes, indent: int | None
) -> None:
    text = json.dumps({one.name: to_object(one) for one in found}, indent=indent, ensure_ascii=False).encode()
    at = chance.randrange(len(text))
    for document in (text, text[:at] + piece + text[at + chance.choice((0, len(piece))) :]):
        seen = parse_vms(document, 60)
        if seen is None:
            continue
        value, form = parse_exactly(document)
        assert {name: to_object(one) for name, one, _ in seen} == value
        assert b"{%b}" % b",".join(encode(name) + b":" + one for name, _, one in sorted(seen)) == form


@st.composite
def disks_of_records(draw: st.DrawFn) -> list[list[Piece]]:
    """Records of every kind, offsets ascending, references only to what came before."""
    carriers: list[Piece] = []
    made = []
    for _ in range(draw(st.integers(0, 3))):
        at, pieces = 0, []
        for _ in range(draw(st.integers(0, 5))):
            kind = draw(st.sampled_from(["data", "pack", "reference"] if carriers else ["data", "pack"]))
            at += draw(st.integers(0, 50))
            content = draw(st.binary(min_size=1, max_size=60))
            if kind == "reference":
                target = draw(st.sampled_from(carriers))
                skip = draw(st.integers(0, target.record.length - 1))
                piece = reference(at, target, skip=skip, length=draw(st.integers(1, target.record.length - skip)))
            else:
                piece = pack(content) if kind == "pack" else data(at, content)
                carriers.append(piece)
            pieces.append(piece)
            at += 0 if piece.record.offset is None else piece.record.length
        made.append(pieces)
    return made


@given(made=disks_of_records(), compress=st.booleans(), sort=st.booleans())
@settings(max_examples=100, deadline=None)
def test_records_come_back_in_any_dress(made: list[list[Piece]], *, compress: bool, sort: bool) -> None:
    images = [image("vm", f"d{number}", pieces, size_bytes=1000) for number, pieces in enumerate(made)]
    document, _ = write_sealed(head(), images=images, compress=compress)
    text = gzip.decompress(document) if compress else document
    dressed = json.dumps(json.loads(text), indent=2, sort_keys=sort).encode()

    assert [found.record for found in read(document).records] == [piece.record for disk in made for piece in disk]
    assert read(dressed).end.report.intact
    assert contents(read(dressed)) == contents(read(document))


def test_a_reader_that_is_left_leaves_nothing_behind() -> None:
    import io

    stream = io.BytesIO(write_sealed(head(), [vm()], images=[image()])[0])
    events = read_export(stream)
    next(events)
    events.close()  # type: ignore[attr-defined]  # a generator, typed as what callers need

    assert not stream.closed
