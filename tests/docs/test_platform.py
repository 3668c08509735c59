"""The tests run on the platform that README promises: a newer build first in PATH hides what that cannot do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SYSTEM = Path("/usr/bin/python3")


def _version(python: str | Path) -> tuple[int, ...]:
    printed = subprocess.run([python, "-I", "-V"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in printed.removeprefix("Python ").rstrip("+\n").split("."))


@pytest.mark.skipif(not SYSTEM.exists() or _version(SYSTEM) < (3, 11), reason="the distribution's Python is too old")
def test_these_tests_run_on_the_distributions_own_python() -> None:
    assert _version(sys.executable) == _version(SYSTEM)
