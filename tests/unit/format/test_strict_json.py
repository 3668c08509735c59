from __future__ import annotations

import json
from typing import Any

import pytest

from blixard.errors import ExportFileError, LimitExceeded, MalformedExport
from blixard.format.strict_json import parse, parse_at, parse_exactly, parse_fast, parse_members_fast


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.0", 1),
        ("1e2", 100),
        ("-0", 0),
        ("-0.0", 0),
        ("1e-400", 0),
        ("1.5", 1.5),
        ("9007199254740991.0", 2**53 - 1),
        ("9007199254740992.0", 2.0**53),
        ("18446744073709551616", 2**64),
        ("1" * 64, int("1" * 64)),
        ('"\\u00e9\\/\\ud83d\\ude00"', "é/😀"),
        ('"\\\\ud800"', "\\ud800"),
        ("[ ]", []),
        ('{"a" :\t[ true,false , null]\r\n}', {"a": [True, False, None]}),
    ],
)
def test_a_value_is_read_as_the_format_says(text: str, value: Any) -> None:
    found, form = parse(text.encode())

    assert found == value
    assert type(found) is type(value)
    assert parse_exactly(text.encode()) == (found, form)


def test_the_canonical_form_comes_with_the_value() -> None:
    assert parse(b'{"b": 1.0, "a": "\\u0061"}')[1] == b'{"a":"a","b":1}'


def test_the_fast_way_is_taken_for_what_blixard_writes() -> None:
    text = json.dumps({"name": "web-1", "labels": {"a": "ü\n"}, "n": [1, -2, None]}, indent=2, ensure_ascii=False)

    assert parse_fast(text.encode()) == parse_exactly(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b"[1.5]",
        b"[" + b"1" * 65 + b"]",
        b'["\\u0061"]',
        b'["\\ud800"]',
        b"[NaN]",
        b"[1",
        b'["\xff"]',
    ],
)
def test_the_fast_way_leaves_what_is_doubtful_to_the_exact_one(text: bytes) -> None:
    assert parse_fast(text) is None
    assert parse_members_fast(b'{"x": %b, "y": {}}' % text, 60) is None


def test_members_come_with_their_forms() -> None:
    assert parse_members_fast(b'{"b": {"y": 1, "x": "\xc3\xa9"}, "a": {}}', 60) == [
        ("b", {"y": 1, "x": "é"}, '{"x":"é","y":1}'.encode()),
        ("a", {}, b"{}"),
    ]


def test_members_that_are_there_twice_are_left_to_the_exact_way() -> None:
    assert parse_members_fast(b'{"a": {}, "a": {}}', 60) is None


def test_members_with_too_many_levels_are_left_to_the_exact_way() -> None:
    assert parse_members_fast(b'{"a": [[[]]]}', 3) is not None
    assert parse_members_fast(b'{"a": [[[]]]}', 2) is None


def test_keys_beyond_the_basic_plane_sort_by_utf16_unit() -> None:
    text = '{"\U0001f600": 1, "\ufb33": 2}'.encode()

    assert parse(text)[1] == text.replace(b" ", b"")
    assert parse_members_fast(b'{"a": ' + text + b"}", 60) == [("a", json.loads(text), text.replace(b" ", b""))]


@pytest.mark.parametrize(("text", "error"), [(b"[1,]", MalformedExport), (b"1" * 65, LimitExceeded)])
def test_an_error_says_where(text: bytes, error: type[ExportFileError]) -> None:
    with pytest.raises(error, match="at byte `17`"):
        parse_at(17, text)
