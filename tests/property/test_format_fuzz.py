from __future__ import annotations

import gzip
import io
import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from blixard.errors import ExportFileError, LimitExceeded, MalformedExport
from blixard.format.index import open_fast
from blixard.format.reader import read_export
from blixard.format.strict_json import parse_exactly, parse_fast, parse_members_fast
from support.documents import sample
from support.inputs import BytesInput

PLAIN, PACKED = sample(), sample(compress=True)
TOKENS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"0", b"-", b"1e9", b"1.0", b"null", b"\n", b"  ", b"\0", b"\xff",
    b"\\ud800", b'"version": "2.0", ', b'"records": [', b'"zstd": "', b'"skip": 1, ', b'"vms": {', b"9" * 70, b"[" * 70,
]  # fmt: skip
edits = st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 60), st.sampled_from(TOKENS) | st.binary(max_size=8))


def accept_or_refuse(document: bytes) -> None:
    """The contract: events, or an `ExportFileError`; anything else fails the test."""
    with suppress(ExportFileError):
        for _ in read_export(io.BytesIO(document)):
            pass


def mutate(document: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, put in changes:
        place = at % (len(document) + 1)
        document = document[:place] + put + document[place + removed :]
    return document


@given(st.binary(max_size=300))
@example(b"\x1f\x8b\x08\x00")
@example(b'{"":')
@example(b'{"a":1}')
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_accepted_or_refused(document: bytes) -> None:
    accept_or_refuse(document)
    accept_or_refuse(b"{" + document)
    accept_or_refuse(gzip.compress(document, compresslevel=1, mtime=0))


@given(st.lists(edits, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_mutated_document_is_accepted_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    accept_or_refuse(mutate(PLAIN, changes))
    accept_or_refuse(mutate(PACKED, changes))


@given(st.lists(edits, min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_a_mutated_document_has_an_honest_view_or_none(changes: list[tuple[int, int, bytes]]) -> None:
    for document in (mutate(PLAIN, changes), mutate(PACKED, changes), PLAIN[:-600] + mutate(PLAIN[-600:], changes)):
        opened = open_fast(BytesInput(document))
        if opened is None:
            continue
        with opened, suppress(ExportFileError):
            for image, row in enumerate(opened.index.images):
                list(opened.records(image))
                if row.records:
                    opened.record(image, row.records - 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
places = st.dictionaries(
    st.sampled_from(["version", "exported_at", "cluster_name", "exported_by_node", "nodes", "vms", "raft_state",
                     "metadata", "telemetry", "images", "integrity", "record_tables", "index", "x"]),
    json_values,
    max_size=3,
)  # fmt: skip


@given(places)
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_section_is_accepted_or_refused(changes: dict[str, Any]) -> None:
    accept_or_refuse(json.dumps({**json.loads(PLAIN), **changes}).encode(errors="surrogatepass"))


def text_of(value: Any, indent: int | None, changes: list[tuple[int, int, bytes]]) -> bytes:
    return mutate(json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "replace"), changes)


texts = st.builds(
    text_of,
    json_values,
    st.sampled_from([None, 2]),
    st.lists(edits, max_size=2),
)


@given(texts)
@example(b'{"a": 1e0, "a": 100}')
@example(b'{"a":1,"a":10,"b":1e5}')
@example(b'["\\ud83d\\ude00"]')
@example(b'{"\\u0000":[-0]}')
@settings(max_examples=500, deadline=None)
def test_the_fast_decoder_accepts_only_what_the_exact_one_reads_the_same(text: bytes) -> None:
    fast = parse_fast(text)
    try:
        exact = parse_exactly(text)
    except (MalformedExport, LimitExceeded):
        assert fast is None
        return

    if fast is not None:
        assert fast[1] == exact[1]
        assert repr(fast[0]) == repr(exact[0])


@given(st.lists(texts, max_size=3), st.lists(st.sampled_from(["a", "b", "é", "\U0001f600"]), min_size=3, max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_window_of_members_reads_as_its_members_alone(members: list[bytes], keys: list[str]) -> None:
    pairs = list(zip(keys, members, strict=False))
    window = parse_members_fast(b"{" + b",".join(f'"{key}":'.encode() + text for key, text in pairs) + b"}", 60)

    if window is not None:
        assert [(key, form) for key, _, form in window] == [(key, parse_exactly(text)[1]) for key, text in pairs]
