from __future__ import annotations

import io
import json

import pytest

from blixard.errors import LimitExceeded, MalformedExport
from blixard.format import cursor as cursor_module
from blixard.format.cursor import Cursor
from blixard.format.elements import element, members
from blixard.format.envelope import PlainText
from blixard.format.hunt import find_value
from blixard.format.reader import read_export
from blixard.limits import DEFAULT, Limits
from hostile.format_bombs import BOMBS
from hostile.format_vectors import VECTORS
from support.documents import events, sample

PLAIN, PACKED = sample(), sample(compress=True)
DRESSES = {
    "plain": PLAIN,
    "gzip": PACKED,
    "compact": json.dumps(json.loads(PLAIN)).encode(),
    "sorted": json.dumps(json.loads(PLAIN), indent=3, sort_keys=True).encode(),
}


def at(text: bytes, limits: Limits = DEFAULT) -> Cursor:
    return Cursor(PlainText(io.BytesIO(text)), limits)


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("dress", DRESSES)
def test_borders_of_what_was_fetched_do_not_matter(chunk: int, dress: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = events(DRESSES[dress])
    monkeypatch.setattr(cursor_module, "CHUNK", chunk)

    assert events(DRESSES[dress]) == expected


@pytest.mark.parametrize("chunk", [1, 13])
def test_borders_hide_no_error(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "CHUNK", chunk)

    for vector in VECTORS:
        if vector in BOMBS:
            continue
        with pytest.raises(vector.error) as caught:
            list(read_export(vector.build(), limits=vector.limits))
        assert vector.says in caught.value.message, vector.name


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b'""',
        b'"\\""',
        b'"\\\\"',
        b'"a\\\\\\"b"',
        b'"]}"',
        b"-1.5e+3",
        b"null",
        b'{"a": ["}", {"]": "\\""}]}',
    ],
)
def test_a_value_ends_where_it_ends(text: bytes) -> None:
    for behind in (b",", b" ,", b"}", b"]", b"\n"):
        cursor = at(text + behind)

        assert cursor.text("element_bytes", strings=100) == text
        assert cursor.rest(10) == behind


def test_positions_are_offsets_in_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "CHUNK", 3)
    cursor = at(b'{"one": 1, "two": [2, 3]}')

    places = []
    for _ in cursor.members():
        places.append(cursor.at)
        element(cursor)
    assert places == [7, 17]


def test_what_was_passed_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "CHUNK", 1000)
    cursor = at(b"[" + b",".join([b'"abc"'] * 10_000) + b"]")

    for _ in cursor.items():
        element(cursor)
        assert len(cursor.buffer) < 3000


def test_levels_count_from_the_top() -> None:
    cursor = at(b'{"a": [[1]]}', Limits(depth=3))
    for _ in cursor.members():
        element(cursor)

    cursor = at(b'{"a": [[1]]}', Limits(depth=2))
    next(cursor.members())
    with pytest.raises(LimitExceeded, match="depth"):
        element(cursor)


def test_an_error_shows_what_stands_there() -> None:
    with pytest.raises(MalformedExport, match=r"at byte `1`: expected a key, found `\\x1b\[2Jrest`"):
        list(at(b"{\x1b[2Jrest").members())


def test_members_come_decoded_whatever_their_layout() -> None:
    given = {f"k{number}": {"a": [number], "b": {"c": "}"}} for number in range(300)}

    for indent in (None, 0, 1, 2):
        found = list(members(at(json.dumps(given, indent=indent).encode())))
        assert {key: value for key, value, _ in found} == given
        assert found[7][2] == b'{"a":[7],"b":{"c":"}"}}'


def test_a_window_that_does_not_decode_is_read_member_by_member() -> None:
    given = {f"k{number}": {"a": 1.5 if number % 50 == 7 else 1} for number in range(300)}

    found = list(members(at(json.dumps(given, indent=2).encode())))

    assert {key: value for key, value, _ in found} == given


def test_values_that_only_look_like_the_end_of_a_member_are_not() -> None:
    text = b'{\n"a": {"x": {\n},\n"y": [\n]},\n"b": {\n}\n}'

    assert [(key, value) for key, value, _ in members(at(text))] == [("a", {"x": {}, "y": []}), ("b", {})]


def test_the_hunt_finds_a_key_at_the_top_and_nowhere_else() -> None:
    text = b'{"x": {"version": 1, "y": ["version", {"version": 2}]}, "z": "version", "version": "9", "version": 3}'
    cursor = at(text)
    next(cursor.members())

    assert find_value(cursor, "version") == "9"


@pytest.mark.parametrize("text", [b'{"x": 1}', b'{"x": [1, ', b'{"x": "version"}', b'{"x": 1, "version": nope}'])
def test_the_hunt_finds_nothing_in_silence(text: bytes) -> None:
    cursor = at(text)
    next(cursor.members())

    assert find_value(cursor, "version") is None
