"""A VM's memory as people write it. The model counts in MB of 10^6 bytes, as the original does."""

from __future__ import annotations

from blixard.errors import InvalidField, UsageError
from blixard.site.quantities import parse_size

MB = 1_000_000


def megabytes(text: str) -> int:
    """MB of `2048`, `2048MB`, `2GB`.

    Raises:
        InvalidField: it is no size, or not a whole number of MB (`2GiB` is 2147.48).
    """
    try:
        size = parse_size(text, bare_unit=MB)
    except UsageError as error:
        raise InvalidField("vm.memory", error.message, hint="write `2048`, `2048MB` or `2GB`") from error
    if size % MB:
        hint = f"memory is in MB of 10^6 bytes: say `{-(-size // MB)}`"
        raise InvalidField("vm.memory", f"`{text}` is not a whole number of MB", hint=hint)
    return size // MB
