"""The installed `blixard` as a process of its own, to be killed and signalled at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from support.commands import Ran
from support.world import World

PROGRAM = Path(sys.executable).with_name("blixard")
DEADLINE = 120
_MOMENT = 0.005


def start(world: World, *arguments: str | Path, before: Sequence[str] = (), **how: Any) -> subprocess.Popen[bytes]:
    """Start `blixard ARGUMENTS` on `world`, `before` before it; its channels are pipes unless `how` says otherwise."""
    channels = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*before, PROGRAM, *arguments, "--data-dir", world.data]
    how = {**channels, "env": environment(), **how}
    return subprocess.Popen(command, **how)


def finish(process: subprocess.Popen[bytes]) -> Ran:
    """Wait for its end; read what it said."""
    out, err = process.communicate(timeout=DEADLINE)
    return Ran(process.returncode, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))


def blixard(world: World, *arguments: str | Path, **how: Any) -> Ran:
    """Run it from start to end."""
    return finish(start(world, *arguments, **how))


def environment(**more: str) -> Mapping[str, str]:
    """A clean one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BLIXARD_")}
    return {**kept, **more}


def until(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait for `condition`, as long as `process` lives."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(_MOMENT)


def feed_half(process: subprocess.Popen[bytes], file: Path) -> IO[bytes]:
    """Give the first half of `file` to its standard input, which stays open."""
    assert process.stdin is not None
    content = file.read_bytes()
    process.stdin.write(content[: len(content) // 2])
    process.stdin.flush()
    return process.stdin
