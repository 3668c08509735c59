"""Count, fail or kill at each file operation through the seam: what "old or new, at every operation" is proven with."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

from blixard import files

Action = Callable[[], object]


class FailAt:
    """An observer that raises OSError at operation `number` (from 0), and at every one after it when `lasting`."""

    def __init__(self, number: int, code: int, *, lasting: bool = False) -> None:
        self._number = number
        self._code = code
        self._lasting = lasting
        self._seen = -1

    def __call__(self, _operation: str, _path: str) -> None:
        self._seen += 1
        if self._seen == self._number or (self._lasting and self._seen > self._number):
            raise OSError(self._code, os.strerror(self._code))


def operations(action: Action) -> list[tuple[str, str]]:
    """What `action` does, in order."""
    seen: list[tuple[str, str]] = []
    with files.observe(lambda operation, path: seen.append((operation, path))):
        action()
    return seen


def killed_at(number: int, action: Action) -> bool:
    """Run `action` in a child that is killed right before operation `number`; False when it ended before that."""

    def kill(_operation: str, _path: str) -> None:
        nonlocal number
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        number -= 1

    with warnings.catch_warnings():
        # from Python 3.12: a fork with threads; the child only runs `action`, which starts none
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            with files.observe(kill):
                action()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def tree(root: Path) -> dict[str, bytes]:
    """Every file beneath `root` by its relative name, with its content; directories end with a slash."""
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        found[name + "/" if path.is_dir() else name] = b"" if path.is_dir() else path.read_bytes()
    return found


def names(folder: Path) -> list[str]:
    """What lies directly in `folder`, sorted."""
    return sorted(path.name for path in folder.iterdir())
