"""Durations and sizes as people write them: `10m`, `26h`, `1h30m`, `1GiB`.

One grammar for options, variables and configuration files; pure, so that it can be tested as a table.
"""

from __future__ import annotations

import re
from datetime import timedelta

from blixard.errors import UsageError

LONGEST = timedelta(days=36500)
"""A century: so long before or after now is still a date, and nanoseconds that SQLite holds."""

_DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# texts, compiled when they are first used: most commands are given no quantity
_DURATION = r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+"
_DURATION_PART = r"(\d+(?:\.\d+)?)(ms|[smhdw])"

# K, M, G, T are binary as in qemu-img; kB, MB, GB, TB are decimal as on the disk's label
_SIZE_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGTP", start=1):
    _SIZE_UNITS[_letter] = _SIZE_UNITS[f"{_letter}iB"] = 1024**_power
    _SIZE_UNITS[f"{_letter}B"] = 1000**_power
_SIZE_UNITS["kB"] = _SIZE_UNITS["k"] = 1000
_SIZE = r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)"


def parse_duration(text: str) -> timedelta:
    """A duration such as `90s`, `10m`, `26h`, `30d`, `2w`, `1h30m`; `0` needs no unit.

    Raises:
        UsageError: it is not one, or too long to be one.
    """
    text = text.strip()
    if text == "0":
        return timedelta(0)
    if not re.fullmatch(_DURATION, text, re.ASCII):
        raise UsageError(f"`{text[:40]}` is not a duration", hint="write `90s`, `10m`, `26h`, `30d` or `1h30m`")
    seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in re.findall(_DURATION_PART, text, re.ASCII))
    if seconds > LONGEST.total_seconds():
        raise UsageError(f"`{text[:40]}` is too long a duration", hint=f"at most `{LONGEST.days}d`")
    return timedelta(seconds=seconds)


def parse_size(text: str, *, bare_unit: int = 1) -> int:
    """Bytes of a size such as `512MiB`, `1GiB`, `20G`, `4096`.

    Args:
        text: digits and a unit: `KiB`..`PiB` and `K`..`P` are powers of 1024, `kB`..`PB` of 1000.
        bare_unit: bytes that a number without a unit counts.

    Raises:
        UsageError: it is not a size, or not a whole number of bytes.
    """
    match = re.fullmatch(_SIZE, text.strip(), re.ASCII)
    if not match or match[2] not in _SIZE_UNITS:
        raise UsageError(f"`{text[:40]}` is not a size", hint="write `512MiB`, `20GiB`, `1TB` or a number of bytes")
    unit = _SIZE_UNITS[match[2]] if match[2] else bare_unit
    if "." not in match[1]:
        return int(match[1]) * unit
    size = float(match[1]) * unit
    if not size.is_integer():
        raise UsageError(f"`{text[:40]}` is not a whole number of bytes")
    return int(size)


def within(value: int, allowed: range, what: str) -> int:
    """`value`, when it is `allowed`; `what` is how people know it.

    Raises:
        UsageError: it is not.
    """
    if value not in allowed:
        raise UsageError(f"{what} is {allowed[0]} to {allowed[-1]}, not {value}")
    return value


def show_duration(duration: timedelta) -> str:
    """A duration as `parse_duration` reads it, in its largest whole units: `1d12h`, `90s` is `1m30s`."""
    left = int(duration.total_seconds())
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, int(_DURATION_UNITS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
