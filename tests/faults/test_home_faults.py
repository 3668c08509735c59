"""Clusters that come, go and change their names, stopped or refused at every operation."""

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import copytree

import pytest

from blixard import files
from blixard.errors import StorageError
from blixard.home import Home
from blixard.store.opening import locks_of, make_store, open_store
from support.faults import FailAt, killed_at, names, operations
from support.state import uid

Verb = Callable[[Path], None]
Holds = Callable[[Home], bool]


def create(root: Path) -> None:
    Home(root).create("new", partial(make_store, cluster_id=uid(9)))


def rename(root: Path) -> None:
    home = Home(root)
    with locks_of(home.cluster("old")).ending("cluster rename"):
        home.rename("old", "new")


def delete(root: Path) -> None:
    home = Home(root)
    with locks_of(home.cluster("old")).ending("cluster delete"):
        home.delete("old")


def choose(root: Path) -> None:
    Home(root).set_current("other")


VERBS: dict[str, tuple[Verb, Holds, Holds]] = {
    "create": (create, lambda home: "new" not in home.clusters(), lambda home: readable(home, "new")),
    "rename": (rename, lambda home: current_is(home, "old"), lambda home: current_is(home, "new")),
    "delete": (delete, lambda home: current_is(home, "old"), lambda home: "old" not in home.clusters()),
    "choose": (choose, lambda home: current_is(home, "old"), lambda home: current_is(home, "other")),
}


def readable(home: Home, name: str) -> bool:
    """A whole cluster stands under that name."""
    with open_store(home.cluster(name)) as store:
        snapshot = store.snapshot()
    return snapshot.name == name and snapshot.revision == 0


def current_is(home: Home, name: str) -> bool:
    return home.current() == name and readable(home, name)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory to copy: making one takes many fsyncs."""
    root = tmp_path_factory.mktemp("template") / "data"
    home = Home(root)
    for number, name in enumerate(("old", "other"), start=1):
        cluster = home.create(name, partial(make_store, cluster_id=uid(number)))
        (cluster.disks / "root.raw").write_bytes(b"disk")
    home.set_current("old")
    return root


def check(root: Path, before: Holds, after: Holds) -> None:
    """Old or new, now and after the next command has swept; and nothing is left."""
    home = Home(root)
    was_before = before(home)
    assert was_before or after(home)
    home.sweep()
    assert before(home) == was_before
    assert was_before or after(home)
    assert all(not name.startswith(".") for name in names(home.root) + names(home.clusters_dir))
    assert readable(home, "other")


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_every_operation(tmp_path: Path, template: Path, verb: str) -> None:
    action, before, after = VERBS[verb]
    count = len(operations(partial(action, copytree(template, tmp_path / "count"))))
    for number in range(count):
        root = copytree(template, tmp_path / str(number))

        assert killed_at(number, partial(action, root))
        check(root, before, after)
    assert after(Home(tmp_path / "count"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("verb", VERBS)
def test_refused_at_every_operation(tmp_path: Path, template: Path, verb: str, code: int) -> None:
    action, before, after = VERBS[verb]
    count = len(operations(partial(action, copytree(template, tmp_path / "count"))))
    for number in range(count):
        root = copytree(template, tmp_path / str(number))
        failed = False
        with files.observe(FailAt(number, code)):
            try:
                action(root)
            except StorageError:
                failed = True

        assert failed or after(Home(root)), number
        check(root, before, after)


def found_and_publish(root: Path) -> None:
    home = Home(root)
    home.sweep()
    home.publish(home.found("new", partial(make_store, cluster_id=uid(9))))


def test_an_import_that_makes_a_cluster_is_killed_at_every_operation(tmp_path: Path, template: Path) -> None:
    count = len(operations(partial(found_and_publish, copytree(template, tmp_path / "count"))))
    for number in range(count):
        root = copytree(template, tmp_path / str(number))
        home = Home(root)

        assert killed_at(number, partial(found_and_publish, root))
        if "new" not in home.clusters():
            found_and_publish(root)
        home.sweep()
        assert readable(home, "new"), number
        assert home.clusters() == ("new", "old", "other")
        assert names(home.clusters_dir) == ["new", "old", "other"], number
