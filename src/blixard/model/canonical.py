"""Canonical JSON: RFC 8785 (JCS) with exact integers, as FORMAT.md section 4 defines it.

msgspec's sorted encoder already gives these bytes at 260 MB/s for everything but some doubles and keys outside the
Basic Multilingual Plane (measured, research/archive-performance.md section 5): only a document with one goes slowly.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import msgspec
from blake3 import blake3

_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_encode_plain = msgspec.json.Encoder().encode
_ASTRAL = re.compile(rb"[\xf0-\xf4]")


class DoubleFoundError(Exception):
    """Leaves a decoder at the first number that is not an integer."""


def double_found(_literal: str) -> NoReturn:
    """The float hook of decoders that leave doubles to somebody else.

    Raises:
        DoubleFoundError: always.
    """
    raise DoubleFoundError


# a third of the time of any regular expression that looks for number literals outside strings
_look_for_doubles = msgspec.json.Decoder(float_hook=double_found).decode


def canonical(value: Any) -> bytes:
    """The canonical bytes of a JSON value (or of structs made of JSON values).

    Source: RFC 8785; integers are printed in full, as FORMAT.md section 4 says.
    """
    encoded = _encode_sorted(value)
    if has_doubles(encoded) or (not encoded.isascii() and _ASTRAL.search(encoded)):
        return _encode_plain(_rewrite(msgspec.json.decode(encoded)))
    return encoded


def has_doubles(encoded: bytes) -> bool:
    """True when valid JSON text holds a number with a fraction or an exponent."""
    try:
        _look_for_doubles(encoded)
    except DoubleFoundError:
        return True
    return False


def digest(value: Any) -> str:
    """BLAKE3 of the canonical form, 64 hex digits."""
    return blake3(canonical(value)).hexdigest()


def _rewrite(value: Any) -> Any:
    """Sort keys by UTF-16 code unit and print doubles as ECMAScript does."""
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
        return {key: _rewrite(item) for key, item in ordered}
    if isinstance(value, list):
        return [_rewrite(item) for item in value]
    if isinstance(value, float):
        return msgspec.Raw(_double(value).encode())
    return value


def _double(value: float) -> str:
    """A finite double as ECMAScript's Number::toString prints it (RFC 8785 section 3.2.2.3)."""
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # the value is 0.DIGITS times ten to the power `point`
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len((whole + fraction).lstrip("0")))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    power = point - 1
    tail = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"
