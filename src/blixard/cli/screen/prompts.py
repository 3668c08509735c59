"""Asking the operator: only on a terminal, and only for what would destroy something.

Without a terminal nothing ever asks: a script that runs today must not hang tomorrow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from blixard.cli.screen.output import is_terminal
from blixard.errors import RefusedError


def can_ask(
    environment: Mapping[str, str] = os.environ, stdin: TextIO | None = None, stderr: TextIO | None = None
) -> bool:
    """True when somebody is there to answer: both ends are terminals and BLIXARD_NO_INPUT is not set."""
    stdin, stderr = stdin or sys.stdin, stderr or sys.stderr
    return not environment.get("BLIXARD_NO_INPUT") and is_terminal(stdin) and is_terminal(stderr)


def confirm_name(name: str, what: str) -> None:
    """Ask for `name` before `what` is done; a typed name is a decision, a `y` is a reflex.

    Raises:
        RefusedError: something else was typed.
    """
    sys.stderr.write(f"{what}\ntype the name `{name}` to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise RefusedError("the name does not match: nothing was done", hint="`-y` goes on without asking")
