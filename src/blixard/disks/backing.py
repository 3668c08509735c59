"""What an operator allows a disk's backing files to be: the same question for every format that has such files."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class BackingPolicy(Struct, frozen=True, kw_only=True):
    """What an operator allows a backing chain to do."""

    folder: Path | None = None
    """All backing files lie beneath it; None: beneath the folder of the image itself."""
    alone: bool = False
    """No backing file at all."""
    guess_format: bool = False
    """Look at the first bytes where a header does not name the format: for images of before QEMU 6.1."""
