"""JSON pointers, by the examples of RFC 6901 and the rules of `put` and `remove`."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from blixard.errors import UsageError
from blixard.model.pointer import find, is_inside, join, parse, put, remove

RFC: dict[str, Any] = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", RFC), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3),
     ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8)],
)  # fmt: skip
def test_the_examples_of_rfc_6901(pointer: str, value: Any) -> None:
    assert find(RFC, parse(pointer)) == value
    assert join(parse(pointer)) == pointer


@pytest.mark.parametrize("pointer", ["foo", "/~", "/~2", "#/a"])
def test_what_is_no_pointer_is_a_usage_error_naming_it(pointer: str) -> None:
    with pytest.raises(UsageError, match="is not a JSON pointer"):
        parse(pointer)


@pytest.mark.parametrize("pointer", ["/nope", "/foo/2", "/foo/01", "/foo/-", "/foo/-1", "/foo/0/x", "/foo/99999999999"])
def test_a_place_that_is_not_there_is_found_by_nobody(pointer: str) -> None:
    assert find(RFC, parse(pointer)) is UNSET


def test_put_sets_makes_and_appends() -> None:
    value: dict[str, Any] = {"a": [1, 2], "o": {}}

    done = [put(value, parse(pointer), 9) for pointer in ("/a/0", "/a/-", "/o/new", "/top")]

    assert done == [True] * 4
    assert value == {"a": [9, 2, 9], "o": {"new": 9}, "top": 9}


@pytest.mark.parametrize("pointer", ["/no/x", "/a/5", "/a/x", "/a/0/x"])
def test_put_makes_no_parents(pointer: str) -> None:
    assert put({"a": [1]}, parse(pointer), 9) is False


def test_remove_takes_keys_out_and_leaves_elements_in_place() -> None:
    value: dict[str, Any] = {"a": [1, 2], "b": 3}

    assert [remove(value, parse(pointer)) for pointer in ("/b", "/a/0", "/nope")] == [True, True, False]
    assert value == {"a": [None, 2]}


def test_a_place_is_inside_itself_and_its_parents() -> None:
    assert is_inside(("a", "b"), ("a",))
    assert is_inside(("a",), ("a",))
    assert not is_inside(("ab",), ("a",))
