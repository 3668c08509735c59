"""The two channels of a command: stdout for data, stderr for everything else.

stdout carries what another program may read; notes, warnings and errors go to stderr, coloured only on a terminal.
A stderr that is closed never stops the work. A ticket leaves on stdout only: on stderr it is cut.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TextIO

from blixard.errors import ExitCode, without_tickets

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "hint": "\x1b[1;36m"}


class Console:
    """Where a command's words go.

    Args:
        json: data is one JSON document; warnings and errors are JSON objects, one a line.
        quiet: no notes and no warnings.
        colour: mark words on stderr with ANSI colours.
    """

    def __init__(self, *, json: bool, quiet: bool, colour: bool) -> None:
        self.json = json
        self.quiet = quiet
        self.colour = colour
        self.aside: Callable[[], AbstractContextManager[object]] = nullcontext
        """Makes room on the terminal: a bar that is on it goes away for what is written inside."""

    @classmethod
    def from_environment(cls, *, json: bool, quiet: bool) -> Console:
        """Channels of this process: colour as its environment and its stderr say."""
        return cls(json=json, quiet=quiet, colour=wants_colour(os.environ, sys.stderr))

    def line(self, text: str = "") -> None:
        """Data for people, one line or more, on stdout."""
        if sys.stdout is not None:
            with self.aside():
                sys.stdout.write(text + "\n")

    def document(self, value: Any) -> None:
        """Data for programs: one JSON document on stdout."""
        from blixard.cli.screen.jsonout import to_json

        self.line(to_json(value))

    def answer(self, value: Any, text: str) -> None:
        """What was asked for, on stdout: `value` for programs, `text` for people."""
        if self.json:
            self.document(value)
        else:
            self.line(text)

    def done(self, value: Any, text: str) -> None:
        """What was done: `value` for programs, on stdout; `text` as a note for people."""
        if self.json:
            self.document(value)
        else:
            self.note(text)

    def event(self, value: Mapping[str, Any]) -> None:
        """One JSON document in a line of stdout, at once: whoever follows a command reads while it runs."""
        from blixard.cli.screen.jsonout import to_json_line

        self.line(to_json_line(value))
        if sys.stdout is not None:
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something worth knowing; not said with `-q` or `--json`."""
        if not self.quiet and not self.json:
            self._stderr(text)

    def status(self, text: str) -> None:
        """How far the work is, for a log."""
        if self.json:
            self._object("status", {"message": text})
        else:
            self._stderr(text)

    def warn(self, text: str) -> None:
        """Something that the operator must know and that does not stop the work; `-q` hides it."""
        if self.quiet:
            return
        if self.json:
            self._object("warning", {"message": text})
        else:
            self._stderr(f"{self._mark('warning')} {text}")

    def error(self, error_id: str, message: str, hint: str | None, code: ExitCode) -> None:
        """Why the command failed; never hidden."""
        if self.json:
            self._object("error", {"id": error_id, "message": message, "hint": hint, "exit_code": int(code)})
            return
        self._stderr(f"{self._mark('error')} {message}")
        if hint:
            self._stderr(f"{self._mark('hint')} {hint}")

    def traceback(self) -> None:
        """Where the error that is being handled comes from, for a report."""
        from traceback import format_exc

        self._stderr(format_exc().rstrip("\n"))

    def _mark(self, word: str) -> str:
        return f"{_COLOURS[word]}{word}:\x1b[0m" if self.colour else f"{word}:"

    def _object(self, kind: str, value: dict[str, Any]) -> None:
        import json

        self._stderr(json.dumps({kind: value}, ensure_ascii=False))

    def _stderr(self, text: str) -> None:
        if sys.stderr is None:
            return
        try:
            with self.aside():
                sys.stderr.write(without_tickets(text) + "\n")
                sys.stderr.flush()
        except (OSError, ValueError):  # nobody listens any more, or it is full
            forget(sys.stderr)


def forget(stream: TextIO) -> None:
    """Point a stream that cannot be written at nothing.

    What is still in its buffer would fail again when the interpreter ends, and turn the exit code into 120.
    """
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def wants_colour(environment: Mapping[str, str], stream: TextIO | None) -> bool:
    """NO_COLOR over FORCE_COLOR over TERM=dumb over whether `stream` is a terminal (https://no-color.org)."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return environment.get("TERM", "dumb") != "dumb" and is_terminal(stream)


def is_terminal(stream: TextIO | None) -> bool:
    """True when `stream` is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
