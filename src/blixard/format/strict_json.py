"""One JSON value from its text, exactly as FORMAT.md says, together with its canonical form.

Every library decoder lets something pass (duplicate keys, NaN, 1e999, lone surrogates: measured,
research/reliability-anchors.md section 3). So there are two: an exact one, stdlib `json` with every hook taken, and a
fast one, msgspec, that is believed only when it can prove that the exact one would have said the same. A property test
holds them against each other.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import msgspec

from blixard.errors import LimitExceeded, MalformedExport
from blixard.format.quoting import shown
from blixard.limits import DEFAULT
from blixard.model.canonical import DoubleFoundError, canonical, double_found

EXACT_BELOW = 1 << 53

_decode = msgspec.json.Decoder(float_hook=double_found).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * (DEFAULT.number_chars + 1)


def parse(text: bytes) -> tuple[Any, bytes]:
    """A JSON value and its canonical form.

    A number with a fraction or an exponent that is whole and below 2^53 becomes an int; -0 is 0.

    Raises:
        MalformedExport: not JSON, or JSON that FORMAT.md section 7 refuses.
        LimitExceeded: a number is longer than `number_chars`.
    """
    return parse_fast(text) or parse_exactly(text)


def parse_at(at: int, text: bytes) -> tuple[Any, bytes]:
    """`parse`, with errors that say where: `at` is the offset of the value in the document."""
    try:
        return parse(text)
    except (MalformedExport, LimitExceeded) as problem:
        raise type(problem)(f"at byte `{at}`: {problem.message}", hint=problem.hint) from problem


def parse_fast(text: bytes) -> tuple[Any, bytes] | None:
    """None when a duplicate key, a double or a very long number may be inside, or anything is wrong.

    Going from text to value and back makes no string and no integer longer, and drops all but the last of equal keys.
    So when the two texts are equally long, no key was dropped.
    """
    try:
        value = _decode(text)
        encoded = _encode_sorted(value)
    except (ValueError, RecursionError, DoubleFoundError):
        return None
    if len(encoded) != len(text) and len(encoded) != len(msgspec.json.format(text, indent=-1)):
        return None
    if has_long_number(text):
        return None
    return value, encoded if text.isascii() else canonical(value)


def parse_members_fast(text: bytes, levels: int) -> list[tuple[str, Any, bytes]] | None:
    """The members of an object, each with the canonical form of its value; None as in `parse_fast`.

    It is also None when a value has more than so many `levels` of containers.
    """
    try:
        values = _decode(text)
        forms = [_encode_sorted(value) for value in values.values()]
    except (ValueError, RecursionError, DoubleFoundError):
        return None
    # braces and colons and commas: one a member, and one
    size = len(_encode_sorted(list(values))) + len(forms) + sum(map(len, forms))
    bare = msgspec.json.format(text, indent=-1)
    if size != len(bare) or has_long_number(bare):
        return None
    if any(form.count(b"{") + form.count(b"[") > levels for form in forms):
        return None
    if not text.isascii():
        forms = [canonical(value) for value in values.values()]
    return list(zip(values.keys(), values.values(), forms, strict=True))


def has_long_number(text: bytes) -> bool:
    """True when a number in the text may have more than `number_chars` characters; strings of digits count too."""
    return _LONG_NUMBER in text.translate(_DIGITS_ALIKE)


def parse_exactly(text: bytes) -> tuple[Any, bytes]:
    """`parse` without the fast decoder: the definition of what is accepted."""
    try:
        value = _EXACT.decode(text.decode())
        return value, canonical(value)
    except UnicodeDecodeError as problem:
        raise MalformedExport(f"not UTF-8: {problem.reason}") from problem
    except UnicodeEncodeError as problem:
        raise MalformedExport("a lone surrogate escape: half of a character") from problem
    except json.JSONDecodeError as problem:
        raise MalformedExport(f"not JSON: {problem.msg.lower()}, {problem.pos} characters into the value") from problem


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise MalformedExport(f"duplicate key `{shown(key)}`")
        seen.add(key)
    return made


def _integer(literal: str) -> int:
    _check_length(literal)
    return int(literal)


def _double(literal: str) -> int | float:
    _check_length(literal)
    value = float(literal)
    if math.isinf(value):
        raise MalformedExport(f"number out of range: `{literal}`")
    if abs(value) < EXACT_BELOW and value.is_integer():
        return int(value)
    return value


def _check_length(literal: str) -> None:
    if len(literal) > DEFAULT.number_chars:
        raise LimitExceeded(f"a number of {len(literal)} characters is over the limit `number_chars`")


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedExport(f"`{name}` is not a JSON number")


_EXACT = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=_double, parse_int=_integer, parse_constant=_refuse_constant
)
