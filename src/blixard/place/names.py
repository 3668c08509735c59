"""What the name of a place means before anything is opened: `-` is a standard stream, all else is a path.

The one module that knows either, so that a URL of an object store will be a question of this module alone.
"""

from __future__ import annotations

import os
from pathlib import Path

_STANDARD = "-"


def is_standard(name: str) -> bool:
    """True when it means standard input or output."""
    return name == _STANDARD


def absolute_name(name: str) -> str:
    """The name as it stands in history: one that means the same place from everywhere."""
    return name if is_standard(name) else str(Path(name).absolute())


def exists(name: str) -> bool:
    """True when something stands there already; a standard stream is never in the way."""
    return not is_standard(name) and Path(name).exists()


def same_file(one: str, other: str) -> bool:
    """True when both name one existing file, by whatever path: in and out must not be the same."""
    if is_standard(one) or is_standard(other):
        return False
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def same_place(one: str, other: str) -> bool:
    """True when both name one file, or would once they are made."""
    if is_standard(one) or is_standard(other):
        return False
    here, there = (os.path.join(os.path.realpath(Path(each).parent), Path(each).name) for each in (one, other))  # noqa: PTH118 - no such thing need be there
    return here == there or same_file(one, other)


def pointed_to(name: str) -> str | None:
    """What a symbolic link leads to; None when it is none."""
    path = Path(name)
    if not path.is_symlink():
        return None
    try:
        return os.fspath(path.resolve())
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return os.fspath(path.readlink())
