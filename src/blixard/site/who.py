"""Who is at work, by what clock, within which bounds: what a verb is told about its circumstances."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime

from msgspec import Struct

from blixard.limits import DEFAULT, Limits
from blixard.plan.retention import UndoPolicy


class SystemClock:
    """`ports.Clock` of this machine."""

    def now(self) -> datetime:
        """The current time, aware, UTC."""
        return datetime.now(UTC)


class Who(Struct, frozen=True, kw_only=True):
    """Who is at work, for the history. `run` is this run's id: 32 hex digits, also the trace of its log lines."""

    user: str
    host: str
    run: str
    sudo_user: str | None = None

    @classmethod
    def here(cls, run: str | None = None) -> Who:
        """The user of this process on this machine."""
        try:
            user = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            user = str(os.geteuid())
        return cls(
            user=user, host=os.uname().nodename, run=run or os.urandom(16).hex(), sudo_user=os.environ.get("SUDO_USER")
        )


class Policy(Struct, frozen=True, kw_only=True):
    """What bounds the work on a cluster: settings that several verbs need."""

    limits: Limits = DEFAULT
    undo: UndoPolicy = UndoPolicy()
    lock_wait: float = 0.0
    """Seconds."""
