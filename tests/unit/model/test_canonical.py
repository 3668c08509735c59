from __future__ import annotations

import math
import struct
from typing import Any

import pytest
import rfc8785
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from blixard.model.canonical import canonical, digest
from support.documents import vm

EXACT = 2**53 - 1
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-EXACT, EXACT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_it_is_what_the_reference_implementation_writes(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


# RFC 8785 appendix B: IEEE 754 bits and the text that they must become
@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_doubles_are_printed_as_the_rfc_lists_them(bits: str, text: str) -> None:
    [value] = struct.unpack(">d", bytes.fromhex(bits))

    assert canonical([value]) == f"[{text}]".encode()


def test_keys_sort_by_utf16_unit_as_in_the_rfc() -> None:
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}

    assert canonical(value) == rfc8785.dumps(value)


def test_integers_are_printed_in_full() -> None:
    assert canonical([2**64 - 1, -(2**63), 10**40]) == f"[{2**64 - 1},{-(2**63)},{10**40}]".encode()


def test_a_whole_double_and_the_integer_are_the_same() -> None:
    assert canonical({"a": 1.0, "b": [-0.0]}) == canonical({"b": [0], "a": 1}) == b'{"a":1,"b":[0]}'


def test_text_that_looks_like_a_double_stays_text() -> None:
    assert canonical({"a": ":1.0,", "b": "[1e5]"}) == b'{"a":":1.0,","b":"[1e5]"}'


def test_a_struct_has_the_form_of_its_object() -> None:
    assert canonical(vm(labels={"b": "1", "a": "2"})).startswith(b'{"anti_affinity":null,"boot":null,"config_path"')


def test_the_digest_is_blake3_of_the_form() -> None:
    assert digest({"b": 1.5, "a": None}) == blake3(b'{"a":null,"b":1.5}').hexdigest()


def test_not_a_number_has_no_form_that_could_be_mistaken_for_a_number() -> None:
    assert canonical([math.nan]) == b"[null]"
