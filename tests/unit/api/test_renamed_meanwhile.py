"""A cluster that is renamed or deleted while somebody has it open, and another that gets its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import blixard
from blixard.errors import NotFound
from blixard.home import ClusterDir, Home
from blixard.ports import NodeBooks, StateStore
from blixard.site.config import load_config
from blixard.site.site import Site
from blixard.store.opening import open_with_books

CONTENT = b"content" * 10_000
GONE = r"no cluster `web` .* any more"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with the clusters `web` and `other`, each with a VM `only` that has a disk."""
    (tmp_path / "disk.img").write_bytes(CONTENT)
    for name in ("web", "other"):
        with blixard.create_cluster(name, tmp_path / "data") as cluster:
            cluster.create_vm("only", disks={"root": tmp_path / "disk.img"})
    return tmp_path / "data"


@pytest.fixture
def swapped(data: Path) -> Iterator[blixard.Cluster]:
    """`web`, opened before it was called `gone` and `other` was called `web`."""
    with blixard.open_cluster("web", data) as cluster:
        Home(data).rename("web", "gone")
        Home(data).rename("other", "web")
        yield cluster


@pytest.mark.parametrize(
    "use",
    [
        lambda cluster, folder: cluster.create_vm("late", disks={"root": folder / "disk.img"}),
        lambda cluster, _folder: cluster.delete_vm("only"),
        lambda cluster, folder: cluster.export(folder / "never.json", images=True),
        lambda cluster, _folder: cluster.undo(),
    ],
)
def test_a_handle_never_works_on_the_cluster_that_got_the_name(
    swapped: blixard.Cluster, data: Path, use: Callable[[blixard.Cluster, Path], object]
) -> None:
    with pytest.raises(NotFound, match=GONE):
        use(swapped, data.parent)

    for name in ("web", "gone"):
        with blixard.open_cluster(name, data) as cluster:
            assert [vm.name for vm in cluster.vms()] == ["only"]
        disks = [path for path in (data / "clusters" / name / "disks").iterdir() if path.is_file()]
        assert [path.read_bytes() for path in disks] == [CONTENT]
    assert not (data.parent / "never.json").exists()


def test_opening_makes_no_directory_of_a_cluster_that_is_gone(data: Path) -> None:
    site = Site(load_config({"data_dir": str(data)}, {}))
    directory = site.home.cluster("web")
    Home(data).delete("web")

    with pytest.raises(NotFound, match=GONE):
        site.open(directory)

    assert [path.name for path in (data / "clusters").iterdir()] == ["other"]


def test_state_and_history_of_two_clusters_are_not_opened_as_one(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(load_config({"data_dir": str(data)}, {}))

    def renamed_in_between(directory: ClusterDir) -> tuple[StateStore, NodeBooks]:
        found = open_with_books(directory)
        Home(data).rename("web", "gone")
        Home(data).rename("other", "web")
        return found

    monkeypatch.setattr("blixard.site.site.open_with_books", renamed_in_between)
    with pytest.raises(NotFound, match=GONE):
        site.open(site.home.cluster("web"))
