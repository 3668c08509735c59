from pathlib import Path

import pytest

from blixard.errors import NotFound
from blixard.home import Home
from blixard.home.locks import FlockLocks
from blixard.ports import ClusterLocks
from support.lock_conformance import LockConformance, LockedCluster


class OnOneMachine:
    """A cluster in the data directory `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        Home(root).create("web")

    def locks(self) -> ClusterLocks:
        return FlockLocks(Home(self._root).cluster("web"))

    def delete(self) -> None:
        Home(self._root).delete("web")


class TestFlockLocks(LockConformance):
    @pytest.fixture
    def cluster(self, tmp_path: Path) -> LockedCluster:
        return OnOneMachine(tmp_path)


def test_a_cluster_deleted_while_we_waited_is_not_found_where_it_was(tmp_path: Path) -> None:
    locks = OnOneMachine(tmp_path).locks()
    Home(tmp_path).delete("web")

    with pytest.raises(NotFound, match="`web`") as caught:
        locks.editing("vm set")
    assert str(tmp_path) in caught.value.message


def test_a_cluster_that_got_the_name_meanwhile_is_not_the_one_to_lock(tmp_path: Path) -> None:
    home = Home(tmp_path)
    locks = OnOneMachine(tmp_path).locks()
    home.create("web-new")
    home.rename("web", "web-old")
    home.rename("web-new", "web")

    for take in (locks.exporting, locks.reading_disks, locks.editing, locks.alone, locks.deleting_disks, locks.ending):
        with pytest.raises(NotFound, match="deleted or renamed"):
            take("vm set")
    with pytest.raises(NotFound, match="deleted or renamed"), locks.same_cluster():
        pass
    with FlockLocks(home.cluster("web")).ending("cluster delete"):
        pass
