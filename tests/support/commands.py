"""Commands in forked children: as separate as a process of its own, without paying for the interpreter's start.

The child runs the command line in process, under an observer of file operations when a test wants to count, fail or
kill there.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import pkgutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

from msgspec import Struct

import blixard
from blixard import files
from blixard.files.seam import Observer

NOBODY = 65534
_STUCK_SECONDS = 200
"""After them a child says where it stands, on its stderr, and ends: its parent waits for it without a bound."""
_ENVIRONMENT = ("BLIXARD_CLUSTER", "BLIXARD_DATA_DIR", "BLIXARD_PROGRESS", "FORCE_COLOR")


class Ran(Struct, frozen=True):
    """What a command left: its exit code, or minus the signal that ended it, and its two channels."""

    code: int
    out: str
    err: str


class _At:
    """An observer that does something at one operation, whichever thread runs it."""

    def __init__(self, number: int, act: Callable[[str], None], *, lasting: bool = False) -> None:
        self._left = number
        self._act = act
        self._lasting = lasting

    def __call__(self, operation: str, path: str) -> None:
        self._left -= 1
        if self._left == -1 or (self._lasting and self._left < 0):
            self._act(f"{operation} {path}")


def killing(number: int) -> Observer:
    """Kill this process right before operation `number`, from 0."""
    return _At(number, lambda _operation: os.kill(os.getpid(), signal.SIGKILL))


def failing(number: int, code: int, *, lasting: bool = False, note: Path | None = None) -> Observer:
    """Raise OSError at operation `number`, from 0, and at all that follow when `lasting`; `note` is told which."""

    def refuse(operation: str) -> None:
        if note is not None:
            note.write_text(operation)
        raise OSError(code, os.strerror(code))

    return _At(number, refuse, lasting=lasting)


def counting(into: Path) -> Observer:
    """Append a line to `into` for every operation."""
    fd = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def count(operation: str, path: str) -> None:
        os.write(fd, f"{operation} {path}\n".encode())

    return count


def run(
    arguments: Sequence[str | Path],
    *,
    observer: Observer | None = None,
    stdin: int | None = None,
    user: int | None = None,
    before: Callable[[], object] | None = None,
) -> Ran:
    """Run `blixard ARGUMENTS` in a child and wait for it.

    Args:
        arguments: without the program's name.
        observer: of the child's file operations.
        stdin: descriptor that becomes its standard input; /dev/null otherwise.
        user: who runs it, when not this process's user.
        before: called in the child first.
    """
    _load_everything()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = _fork()
        if child == 0:
            code = 99
            try:
                _become(user, stdin, out.fileno(), err.fileno())
                faulthandler.dump_traceback_later(_STUCK_SECONDS, exit=True)
                if before is not None:
                    before()
                code = _observed([os.fspath(each) for each in arguments], observer)
            finally:
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        out.seek(0)
        err.seek(0)
        return Ran(os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode())


def run_here(arguments: Sequence[str | Path]) -> Ran:
    """Run `blixard ARGUMENTS` in this process, at a fifth of a fork's price: for what neither ends nor outlives it."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        redirect_stdout(out),
        redirect_stderr(err),
        patch.dict(os.environ),
    ):
        for name in _ENVIRONMENT:
            os.environ.pop(name, None)
        code = _observed([os.fspath(each) for each in arguments], None)
        out.seek(0)
        err.seek(0)
        return Ran(code, out.read(), err.read())


def codes(lines: Sequence[Sequence[str | Path]]) -> list[int]:
    """Exit codes of command lines that one child runs one after the other: thousands of tiny ones share few forks.

    What they print goes nowhere. There are fewer codes than lines when the child came to an end before.
    """
    _load_everything()
    with tempfile.TemporaryFile(buffering=0) as ended, Path(os.devnull).open("r+b") as nowhere:
        child = _fork()
        if child == 0:
            try:
                _become(None, None, nowhere.fileno(), nowhere.fileno())
                for each in lines:
                    ended.write(bytes([_observed([os.fspath(part) for part in each], None)]))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        ended.seek(0)
        return list(ended.read())


def _observed(arguments: list[str], observer: Observer | None) -> int:
    from blixard.cli.run import run as run_command_line

    if observer is None:
        return run_command_line(arguments)
    with files.observe(observer):
        return run_command_line(arguments)


def _become(user: int | None, stdin: int | None, out: int, err: int) -> None:
    for name in _ENVIRONMENT:
        os.environ.pop(name, None)
    os.dup2(os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    # pytest has put its own objects there
    import sys

    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def _fork() -> int:
    # a child among several threads that fork waits for ever for a lock that another one held (SQLite's, seen)
    assert threading.current_thread() is threading.main_thread()
    with warnings.catch_warnings():
        # from Python 3.12: a fork with threads; nothing in the child touches those of pytest
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


@cache
def _load_everything() -> None:
    """Import the whole package once, so that no child does."""
    for module in pkgutil.walk_packages(blixard.__path__, "blixard."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
