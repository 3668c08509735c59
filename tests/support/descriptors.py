"""Which files this process holds open, by what they are.

A count of all descriptors would count those of other tests too: the collector closes them whenever it comes by.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPEN = Path("/proc/self/fd")


def open_at(place: str | Path) -> list[str]:
    """The targets of the open descriptors that are `place` (a path, or `/memfd:NAME`) or lie below it."""
    found = []
    for descriptor in _OPEN.iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:  # closed meanwhile, as the one that lists them is
            continue
        if f"{target.removesuffix(' (deleted)')}/".startswith(f"{place}/"):
            found.append(target)
    return found


@contextmanager
def no_descriptor_left(folder: Path) -> Iterator[None]:
    """Whoever opens a file or folder at or below `folder` inside has closed it at the end."""
    assert not open_at(folder)
    yield
    assert not open_at(folder)
