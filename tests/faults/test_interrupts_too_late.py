"""Ctrl-C or a polite kill behind the point of no return: the command has done it, and ends as one that has."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from blixard import files
from blixard.store.history import History
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


PUBLISHING = {
    "export": ("cluster", "export", "-o", "{out}/made.json", "--include-images"),
    "export verified": ("cluster", "export", "-o", "{out}/made.json", "--verify"),
    "extract": ("cluster", "extract", "{out}/new.json.gz", "app/root", "-o", "{out}/made.raw"),
    "fmt": ("cluster", "fmt", "{out}/new-sorted.json", "-o", "{out}/made.json"),
    "init": ("cluster", "init", "made"),
    "rename": ("cluster", "rename", "made", "-c", "web"),
}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("verb", PUBLISHING)
def test_what_comes_when_a_name_is_given_does_not_say_that_nothing_was_done(
    verb: str, number: signal.Signals, world: World
) -> None:
    renamed: list[str] = []

    def interrupt(operation: str, path: str) -> None:
        if operation == "rename" and "made" in path:
            renamed.append(path)
        elif renamed and operation.startswith("fsync"):
            renamed.clear()
            os.kill(os.getpid(), number)

    with files.observe(interrupt):
        ran = world.blixard(*(each.format(out=world.out) for each in PUBLISHING[verb]))

    assert (ran.code, "interrupted" in ran.err, "terminated" in ran.err) == (0, False, False), ran
    name = "made" if verb == "rename" else "web"
    if verb not in ("extract", "fmt", "init"):
        noted = [each.entry for each in History(world.cluster(name).history_db).entries()]
        assert (noted[0].verb, noted[0].exit_code) == (f"cluster {verb.split(maxsplit=1)[0]}", 0)
    assert list(world.out.glob("made*")) or (world.data / "clusters/made").is_dir()
