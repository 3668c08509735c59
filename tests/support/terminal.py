"""One command on a pseudo-terminal, as a person has it before them."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from blixard.model.structs import EMPTY
from support.shell import BLIXARD, cron_environment

_DEADLINE = 30


class Terminal:
    """A terminal of `columns` with a command on it.

    Args:
        data: its data directory.
        arguments: without the program's name.
        stdout: where its standard output goes when not to the terminal.
        columns: how wide the terminal is.
        variables: more of its environment.
    """

    def __init__(
        self,
        data: Path,
        *arguments: str,
        stdout: IO[bytes] | None = None,
        columns: int = 80,
        variables: Mapping[str, str] = EMPTY,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {**cron_environment(data), "TERM": "xterm", **variables}
        self._process = subprocess.Popen(
            [BLIXARD, *arguments],
            stdin=theirs,
            stdout=stdout or theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, text: str, *, times: int = 1) -> None:
        """Read what it shows until `text` was among it so many times."""
        while self.shown.count(text) < times:
            assert self._read(), self.shown

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.signal(signal.SIGINT)

    def signal(self, number: signal.Signals) -> None:
        """What `kill` sends."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait(_DEADLINE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], _DEADLINE)
        assert ready, f"nothing more came: {self.shown}"
        try:
            piece = os.read(self._ours, 4096)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)
