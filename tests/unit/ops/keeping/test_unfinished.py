import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blixard.home import ClusterDir
from blixard.home.locks import FlockLocks
from blixard.ops.keeping.gc import GcOptions, collect
from blixard.ops.keeping.unfinished import STAGED_FOR, can_go_on, sweep_founded
from blixard.ports import ImportRow
from blixard.site.open_cluster import OpenCluster
from blixard.store.opening import make_store, open_with_books
from support.clusters import StillClock, a_cluster
from support.state import uid

VERB = "cluster import"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def opened(tmp_path: Path, clock: StillClock) -> Iterator[OpenCluster]:
    with a_cluster(tmp_path / "data", clock=clock) as cluster:
        yield cluster


def begun(opened: OpenCluster, *, document: str | None = "d1", done: bool = False) -> ClusterDir:
    """What a killed import that was to make cluster `fresh` left."""
    founded = opened.home.found("fresh", partial(make_store, cluster_id=uid(9)))
    key = document or "import-1"
    (founded.incoming / key).mkdir()
    store, books = open_with_books(founded)
    row = ImportRow(id="import-1", key=key, started_at=opened.clock.now(), document=document, done=done)
    with store, books:
        books.begin_import(row)
    return founded


def test_what_is_staged_for_a_new_cluster_waits_for_seven_days(opened: OpenCluster, clock: StillClock) -> None:
    founded = begun(opened)
    clock.pass_by(STAGED_FOR)
    sweep_founded(opened.home, VERB, clock.now())
    assert can_go_on(founded, clock.now())

    clock.pass_by(timedelta(seconds=1))
    sweep_founded(opened.home, VERB, clock.now())
    assert opened.home.founded() == ()


@pytest.mark.parametrize("fields", [{"document": None}, {"done": True}])
def test_what_no_import_comes_back_to_goes_at_once(opened: OpenCluster, fields: dict[str, Any]) -> None:
    begun(opened, **fields)

    sweep_founded(opened.home, VERB, opened.clock.now())

    assert opened.home.founded() == ()


def test_what_an_import_is_at_work_in_stays(opened: OpenCluster) -> None:
    founded = begun(opened)
    with FlockLocks(founded).alone(VERB):
        sweep_founded(opened.home, "cluster gc", opened.clock.now(), everything=True)

    assert [each.name for each in opened.home.founded()] == ["fresh"]


def test_a_half_made_store_is_given_up(opened: OpenCluster) -> None:
    founded = begun(opened)
    founded.state_db.write_bytes(b"not a database, and not empty either" * 100)

    sweep_founded(opened.home, VERB, opened.clock.now())

    assert opened.home.founded() == ()


def test_a_store_that_cannot_be_asked_costs_nothing_that_is_staged(opened: OpenCluster) -> None:
    founded = begun(opened)
    with sqlite3.connect(founded.state_db) as busy:
        busy.execute("PRAGMA locking_mode = EXCLUSIVE")
        busy.execute("BEGIN EXCLUSIVE")
        sweep_founded(opened.home, VERB, opened.clock.now())
    busy.close()

    assert opened.home.founded() != ()


def test_what_a_newer_version_has_staged_stays(opened: OpenCluster) -> None:
    founded = begun(opened)
    with sqlite3.connect(founded.state_db) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()

    sweep_founded(opened.home, VERB, opened.clock.now())

    assert opened.home.founded() != ()


def test_gc_shows_it_and_frees_it_on_demand(opened: OpenCluster) -> None:
    begun(opened)

    assert collect(opened, GcOptions()).freed == ()
    shown = collect(opened, GcOptions(staged=True, dry_run=True))
    assert [(each.kind, each.name) for each in shown.freed] == [("founded", "fresh")]
    assert len(opened.home.founded()) == 1

    collect(opened, GcOptions(staged=True))
    assert opened.home.founded() == ()
