"""`config show`: every setting, its value and where it came from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from blixard.cli.options import command
from blixard.cli.screen import human
from blixard.site.quantities import show_duration

if TYPE_CHECKING:
    from blixard.cli.session import Session


@command(examples=["blixard config show", "BLIXARD_UNDO_KEEP=5 blixard config show --json"])
def show(session: Session) -> None:
    """Print every setting, its value and its origin."""
    settings = sorted(session.config.settings.values(), key=lambda each: each.key)
    rows = [(each.key, _shown(each.value), each.origin) for each in settings]
    session.out.answer(
        {each.key: {"value": each.value, "origin": each.origin} for each in settings},
        human.table(("setting", "value", "origin"), rows),
    )


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, tuple):
        return ", ".join(value) or "-"
    return str(value)
