from pathlib import Path

import pytest

from blixard.errors import Conflict, InvalidField, Locked, NotFound
from blixard.home import ClusterDir, Home
from blixard.ops.cluster.clusters import delete_cluster, init_cluster, list_clusters, rename_cluster, use_cluster
from blixard.site.open_cluster import OpenCluster
from support.clusters import a_cluster, reopen
from support.faults import killed_at
from support.lock_conformance import VERBS


def init(home: Home, name: str, **fields: int) -> object:
    return init_cluster(home, name, reopen=lambda made: reopen(home, made), **fields)


def rename(home: Home, old: str, new: str) -> None:
    def again(directory: ClusterDir) -> OpenCluster:
        return reopen(home, directory)

    rename_cluster(home, old, new, lock_wait=0, reopen=again)


def test_a_new_cluster_has_an_id_and_this_machine(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as opened:
        snapshot = opened.snapshot()

        assert (snapshot.name, snapshot.revision, snapshot.self_node, len(snapshot.id)) == ("lab", 0, 1, 36)
        assert snapshot.nodes[1].data_dir == str(tmp_path)
        assert opened.history.entries()[0].entry.verb == "cluster init"


def test_the_node_id_can_be_chosen(tmp_path: Path) -> None:
    home = Home(tmp_path)
    init(home, "lab", node_id=7)

    with reopen(home, home.cluster("lab")) as opened:
        assert list(opened.snapshot().nodes) == [7]


def test_only_the_first_cluster_becomes_the_current_one(tmp_path: Path) -> None:
    home = Home(tmp_path)

    init(home, "one")
    init(home, "two")

    assert home.current() == "one"
    use_cluster(home, "two")
    assert [(each.name, each.current) for each in list_clusters(home)] == [("one", False), ("two", True)]


def test_a_name_is_taken_once_and_must_be_a_name(tmp_path: Path) -> None:
    home = Home(tmp_path)
    init(home, "one")

    with pytest.raises(Conflict, match="`one`"):
        init(home, "one")
    with pytest.raises(InvalidField, match="cluster"):
        init(home, "../one")


def test_a_cluster_that_cannot_be_read_is_listed_with_why(tmp_path: Path) -> None:
    home = Home(tmp_path)
    init(home, "good")
    init(home, "bad")
    home.cluster("bad").state_db.write_bytes(b"no database" * 1000)

    bad, good = list_clusters(home)

    assert good.vms == 0
    assert bad.vms is None
    assert bad.problem is not None
    assert "state.db" in bad.problem


def test_a_rename_keeps_the_id_and_is_in_the_history(tmp_path: Path) -> None:
    with a_cluster(tmp_path, "old") as opened:
        home, before = opened.home, opened.snapshot()

    rename(home, "old", "new")

    with reopen(home, home.cluster("new")) as opened:
        assert (opened.snapshot().name, opened.snapshot().id) == ("new", before.id)
        assert opened.history.entries()[0].entry.options == {"from": "old", "to": "new"}
    assert home.clusters() == ("new",)
    assert home.current() == "new"


def test_a_rename_that_is_killed_anywhere_leaves_one_cluster_under_one_name(tmp_path: Path) -> None:
    number = 0
    while True:
        with a_cluster(tmp_path / f"{number}", "old") as opened:
            home, before = opened.home, opened.snapshot()

        was_killed = killed_at(number, lambda home=home: rename(home, "old", "new"))  # type: ignore[misc]

        home.sweep()
        (name,) = home.clusters()
        with reopen(home, home.cluster(name)) as opened:
            assert (opened.snapshot().id, opened.snapshot().name) == (before.id, name)
        assert home.current() == name
        if not was_killed:
            assert name == "new"
            break
        number += 1
    assert number > 5


@pytest.mark.parametrize("how", VERBS)
def test_a_cluster_at_work_is_neither_renamed_nor_deleted(tmp_path: Path, how: str) -> None:
    with a_cluster(tmp_path) as opened, getattr(opened.locks, how)("cluster something"):
        with pytest.raises(Locked, match="cluster something"):
            rename(opened.home, "lab", "new")
        with pytest.raises(Locked, match="cluster something"):
            delete_cluster(opened.home, "lab", 0)

        assert opened.home.clusters() == ("lab",)


def test_a_name_that_is_none_is_told_before_anything_else(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as opened, opened.locks.alone("cluster import"), pytest.raises(InvalidField):
        rename(opened.home, "lab", "a/b")


def test_a_deleted_cluster_is_gone(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as opened:
        home = opened.home

    delete_cluster(home, "lab", 0)

    assert home.clusters() == ()
    with pytest.raises(NotFound, match=str(tmp_path)):
        use_cluster(home, "lab")
