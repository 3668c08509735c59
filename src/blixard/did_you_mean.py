"""The hint of every error about a name that is not there: the names that are close to it, as after a slip of a key."""

from __future__ import annotations

from collections.abc import Iterable


def close_names(name: str, names: Iterable[str], *, most: int = 3) -> list[str]:
    """Of `names`, at most `most` that look like `name`, the closest first."""
    from difflib import get_close_matches

    return get_close_matches(name, names, n=most)


def did_you_mean(close: Iterable[str], *, otherwise: str) -> str:
    """The hint that offers the names in `close`; `otherwise` when there is none."""
    offered = " or ".join(f"`{each}`" for each in close)
    return f"did you mean {offered}?" if offered else otherwise
