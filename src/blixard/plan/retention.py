"""How long undo entries and telemetry are kept: by number, age and bytes, pinned ones always (DESIGN.md section 6).

The one place that decides: a change asks `retained`, `cluster gc` asks `expired`. The policies are what the settings
are when nobody says. Pure, so that a plan can say what it will drop before it drops it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from blixard.limits import MIB
from blixard.model.changes import UndoEntry, UndoSummary


class UndoPolicy(Struct, frozen=True, kw_only=True):
    """The settings `undo.*`; `max_bytes` None is no bound."""

    keep: int = 3
    max_age: timedelta = timedelta(days=30)
    max_bytes: int | None = None


class TelemetryPolicy(Struct, frozen=True, kw_only=True):
    """The settings `telemetry.*`: what is older, or past the bytes the oldest, is dropped at the next write."""

    max_age: timedelta = timedelta(days=7)
    max_bytes: int = 256 * MIB


def retained(
    new: UndoEntry, entries: Iterable[UndoSummary], policy: UndoPolicy, now: datetime
) -> tuple[UndoEntry | None, tuple[int, ...]]:
    """What a change leaves of undo: its own entry, None where the policy gives it up at once, and the ids that go.

    `entries` are `new`, which the store does not have yet, and all that are kept, as for `expired`.
    """
    gone = expired(entries, policy, now)
    return None if new.id in gone else new, tuple(each for each in gone if each != new.id)


def expired(entries: Iterable[UndoSummary], policy: UndoPolicy, now: datetime) -> tuple[int, ...]:
    """Ids of the entries that `policy` gives up, newest first.

    Args:
        entries: newest first, `held_bytes` filled in where `max_bytes` is to count.
        policy: the settings in force.
        now: aware, UTC.
    """
    given_up: list[int] = []
    kept = held = 0
    for entry in entries:
        if entry.pinned:
            continue
        held += entry.held_bytes
        too_big = policy.max_bytes is not None and held > policy.max_bytes
        if kept >= policy.keep or now - entry.made_at > policy.max_age or too_big:
            given_up.append(entry.id)
            held -= entry.held_bytes
        else:
            kept += 1
    return tuple(given_up)
