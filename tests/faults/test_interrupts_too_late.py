"""Ctrl-C or a polite kill behind the point of no return: the command has done it, and ends as one that has."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from blixard.store.sqlite.store import SqliteStore
from support.world import World, fast_folder, picture

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
VERBS = {
    "import": ("cluster", "import", "-i", "{out}/new.json.gz", "-c", "web", "-y"),
    "new": ("cluster", "import", "-i", "{out}/new.json.gz", "-c", "fresh"),
    "undo": ("cluster", "undo", "-y"),
    "set": ("vm", "set", "app", "--vcpus", "5"),
    "delete": ("vm", "delete", "tmp"),
}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("verb", VERBS)
def test_what_comes_when_the_change_is_made_does_not_say_that_it_is_not(
    verb: str, number: signal.Signals, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = SqliteStore.apply

    def apply(*arguments: Any) -> int:
        revision = applied(*arguments)
        os.kill(os.getpid(), number)
        return revision

    command = [each.format(out=world.out) for each in VERBS[verb]]
    before = picture(world)
    with fast_folder() as folder:
        undisturbed = world.copy(folder / "world")
        undisturbed.must(*command)
        after = picture(undisturbed)
    monkeypatch.setattr(SqliteStore, "apply", apply)

    ran = world.blixard(*command)

    assert ran.code == 0, ran
    assert before != picture(world) == after
