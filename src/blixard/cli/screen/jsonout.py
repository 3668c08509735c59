"""Results as JSON: the same frozen structs that people see as tables.

Fields are only ever added. Times are RFC 3339 UTC, sizes are bytes, durations are seconds.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec


def to_json(value: Any) -> str:
    """`value` (structs, mappings, lists) as an indented JSON document, without a line feed at its end."""
    return msgspec.json.format(_encoded(value), indent=2).decode()


def to_json_line(value: Any) -> str:
    """The same on one line, for a command that prints one document after the other."""
    return _encoded(value).decode()


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(value, enc_hook=_plain, builtin_types=(timedelta,)), enc_hook=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"no JSON for {type(value).__name__}")
