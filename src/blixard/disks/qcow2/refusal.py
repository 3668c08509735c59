"""How a qcow2 image is refused: one wording for every module of the package.

The name of an image goes through `printable`, because a backing file's name is an attacker's text.
"""

from __future__ import annotations

import os

from blixard.errors import MalformedExport

_HINT = "`qemu-img check` and `qemu-img info` tell more; never run them as root on an image of unknown origin"


def malformed(where: str, problem: str, *, hint: str | None = _HINT) -> MalformedExport:
    """Make the error for an image: `problem` continues "qcow2 image `x` ..."."""
    return MalformedExport(f"qcow2 image `{printable(where)}` {problem}", hint=hint)


def printable(name: bytes | str | os.PathLike[str]) -> str:
    """Escape what a terminal would not simply show, and cut what is longer than any path."""
    text = os.fsdecode(name)
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    safe = safe.replace("`", "'")  # a name must not end its own quotes
    return safe if len(safe) <= 1100 else safe[:1097] + "..."
