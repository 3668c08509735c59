"""The command lines that bring back what is good in a damaged file: exact, ready to be pasted into a shell.

A file that can be read to its end is imported without its damaged VMs. One that cannot is not imported at all (nothing
is committed before the end was seen), so its disks are taken out one by one.
"""

from __future__ import annotations

import shlex

from msgspec import Struct

from blixard.model.owners import Owner
from blixard.place import is_standard


class Rescue(Struct, frozen=True, kw_only=True):
    """What is good in a file, and what is not."""

    source: str
    readable: bool
    """It can be read to its end."""
    accept_edited: bool
    """It is a gzip file with edited sections, which an import takes only when told to."""
    intact: tuple[str, ...]
    damaged: tuple[str, ...]
    contents: tuple[tuple[Owner, str], ...]
    """Whole disks and files, each with the ending of a file of it."""


def rescue_commands(rescue: Rescue) -> tuple[str, ...]:
    """Shell lines, one for each command; none when nothing is intact, or the file was a stream."""
    if is_standard(rescue.source):
        return ()
    if rescue.readable:
        return (_import(rescue),) if rescue.intact else ()
    return tuple(_extract(rescue.source, owner, ending) for owner, ending in rescue.contents)


def _import(rescue: Rescue) -> str:
    words = ["blixard", "cluster", "import", "-i", rescue.source, "--skip-damaged"]
    if rescue.accept_edited:
        words.append("--accept-edited")
    # a thousand good VMs and one bad one: say the bad one
    if len(rescue.intact) <= len(rescue.damaged) + 3:
        words += [word for name in rescue.intact for word in ("--only", f"vm={name}")]
    else:
        words += [word for name in rescue.damaged for word in ("--except", f"vm={name}")]
    return shlex.join(words)


def _extract(source: str, owner: Owner, ending: str) -> str:
    return shlex.join(["blixard", "cluster", "extract", source, owner.label, "-o", f"{owner.vm}-{owner.name}.{ending}"])
