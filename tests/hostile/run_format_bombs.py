"""Reads every bomb in a process of its own, where peak memory can be seen, and prints what happened as JSON lines."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from blixard.errors import ExportFileError
from blixard.format.reader import read_export
from hostile.format_bombs import BOMBS
from hostile.format_documents import Vector


def outcome(vector: Vector) -> str:
    """The error's class and message; empty when there was none."""
    try:
        for _ in read_export(vector.build(), limits=vector.limits):
            pass
    except ExportFileError as error:
        return f"{type(error).__name__}: {error.message}"
    return ""


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    before = peak_bytes()
    for bomb in BOMBS:
        began = time.process_time()
        error = outcome(bomb)
        seconds = time.process_time() - began
        row = {"name": bomb.name, "error": error, "seconds": seconds, "peak": peak_bytes() - before}
        sys.stdout.write(json.dumps(row) + "\n")
