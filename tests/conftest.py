"""What all tests begin from: signals as in a terminal, temporary folders in memory."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.memory import in_memory

HERE = Path(__file__).parent
_ROOMS = ("disks", "files", "format", "place", "ops/doctor", "ops/document", "ops/vm")
ON_DISK = ("faults", *(f"unit/{room}" for room in _ROOMS))
"""Folders of tests about what a file system does with holes, reflinks, nameless files and sizes: memory is too kind."""


def pytest_configure() -> None:
    """What a command syncs costs milliseconds on a disk, and nothing in memory."""
    if folder := in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if not request.path.relative_to(HERE).as_posix().startswith(ON_DISK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="session", autouse=True)
def _commands_hear_signals() -> None:
    """A job in the background of a shell ignores SIGINT, `nohup` SIGHUP, and what a test starts would inherit that.

    What is caught is not inherited, and SIGHUP still does not end the tests that `nohup` runs.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
