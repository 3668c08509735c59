"""A real file system that is really full: a tmpfs of a few pages, or a small ext4, for root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(at: Path, size_bytes: int, kind: str = "tmpfs") -> Iterator[Path]:
    """A file system of `size_bytes` mounted at the new directory `at`; skips the test where that is not permitted.

    Args:
        at: where.
        size_bytes: of all of it.
        kind: `tmpfs`, or `ext4` in a file beside, of which nothing is reserved for root.
    """
    at.mkdir()
    what = ["tmpfs"]
    options = f"size={size_bytes}"
    if kind == "ext4":
        image = at.with_name(f"{at.name}.{kind}")
        image.touch(0o600)
        os.truncate(image, size_bytes)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True, capture_output=True)
        what, options = [str(image)], "loop"
    mounted = subprocess.run(["mount", "-t", kind, "-o", options, *what, str(at)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small {kind}: {mounted.stderr.decode().strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def fill(folder: Path, leave_bytes: int) -> Path:
    """Fill the file system of `folder` but for about `leave_bytes`; return the file that does it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave_bytes))
    return ballast
