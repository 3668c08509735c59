import os
import stat
from pathlib import Path

import pytest

from blixard.errors import Conflict, InvalidField, NotFound
from blixard.home import ClusterDir, Home
from support.faults import names


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def put_file(cluster: ClusterDir) -> None:
    cluster.state_db.write_bytes(b"state")


def test_a_home_that_is_not_there_is_empty_and_stays_so(home: Home) -> None:
    assert home.clusters() == ()
    assert home.current() is None
    assert home.sweep() == ()
    assert not home.root.exists()


def test_a_cluster_is_made_with_its_places_and_all_of_it_is_private(home: Home) -> None:
    earlier = os.umask(0)
    try:
        cluster = home.create("web", put_file)
    finally:
        os.umask(earlier)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in home.root.rglob("*") if path.is_dir()}

    assert home.clusters() == ("web",)
    assert cluster.state_db.read_bytes() == b"state"
    assert names(cluster.path) == ["disks", "locks", "state.db", "store.toml", "undo"]
    assert cluster.incoming.is_dir()
    assert modes == {0o700}
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(cluster.store_toml.stat().st_mode) == 0o600


def test_a_cluster_whose_making_fails_is_not_there(home: Home) -> None:
    def fail(cluster: ClusterDir) -> None:
        put_file(cluster)
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        home.create("web", fail)
    assert names(home.clusters_dir) == []


def test_a_name_is_taken_once(home: Home) -> None:
    home.create("web", put_file)

    with pytest.raises(Conflict, match="`web`"):
        home.create("web")
    assert home.cluster("web").state_db.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".new-1", "-x", "a\n", "n" * 64, "a b", "ä"])
def test_a_name_is_never_a_path(home: Home, name: str) -> None:
    home.create("web")

    for use in (home.create, home.cluster, home.set_current, lambda new: home.rename("web", new)):
        with pytest.raises(InvalidField):
            use(name)
    assert home.clusters() == ("web",)


def test_what_is_not_there_is_reported_with_the_data_directory_and_what_is(home: Home) -> None:
    with pytest.raises(NotFound, match="`web`") as caught:
        home.cluster("web")
    assert str(home.root) in caught.value.message
    assert "cluster init web" in (caught.value.hint or "")

    home.create("db")
    with pytest.raises(NotFound) as caught:
        home.cluster("web")
    assert "`db`" in (caught.value.hint or "")
    assert caught.value.exit_code == 20


def test_strange_entries_are_no_clusters(home: Home) -> None:
    home.create("web")
    (home.clusters_dir / ".hidden").mkdir()
    (home.clusters_dir / "a file").write_bytes(b"")
    (home.clusters_dir / "file").write_bytes(b"")

    assert home.clusters() == ("web",)


def test_the_current_cluster_is_chosen_and_follows_a_rename(home: Home) -> None:
    home.create("web")
    home.create("db")
    before = home.current()
    home.set_current("web")
    home.rename("db", "database")
    home.rename("web", "front")

    assert before is None
    assert home.current() == "front"
    assert home.clusters() == ("database", "front")


def test_the_current_cluster_must_exist(home: Home) -> None:
    with pytest.raises(NotFound):
        home.set_current("web")


@pytest.mark.parametrize("content", [b"", b"../../etc", b"gone\n", b"\xff\xfe", b"x" * 10_000])
def test_a_current_file_that_makes_no_sense_means_none(home: Home, content: bytes) -> None:
    home.create("web")
    (home.root / "current").write_bytes(content)

    assert home.current() is None


def test_a_rename_keeps_what_is_in_the_cluster(home: Home) -> None:
    key = home.create("web", put_file).store_choice().key
    renamed = home.rename("web", "front")

    assert renamed.state_db.read_bytes() == b"state"
    assert (renamed.name, renamed.store_choice().key) == ("front", key)
    with pytest.raises(NotFound):
        home.cluster("web")


def test_a_rename_does_not_replace(home: Home) -> None:
    home.create("web")
    home.create("db")

    with pytest.raises(Conflict, match="`db`"):
        home.rename("web", "db")
    assert home.clusters() == ("db", "web")


def test_a_deleted_cluster_is_gone_and_no_longer_current(home: Home) -> None:
    home.create("web", put_file)
    home.set_current("web")
    home.delete("web")

    assert names(home.clusters_dir) == []
    assert home.current() is None
    assert not (home.root / "current").exists()


def test_deleting_does_not_follow_links(home: Home, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "disk.img").write_bytes(b"precious")
    (home.create("web").disks / "link").symlink_to(tmp_path / "images")
    home.delete("web")

    assert (tmp_path / "images" / "disk.img").read_bytes() == b"precious"


def test_a_sweep_takes_rubbish_and_leaves_the_rest(home: Home) -> None:
    home.create("web", put_file)
    home.set_current("web")
    (home.clusters_dir / ".new-1" / "disks").mkdir(parents=True)
    (home.clusters_dir / ".trash-2").mkdir()
    (home.clusters_dir / ".other").mkdir()
    (home.root / ".current.new").write_bytes(b"half")
    home.sweep()

    assert names(home.clusters_dir) == [".other", "web"]
    assert names(home.root) == ["clusters", "current", "lock"]
    assert home.current() == "web"
    assert home.sweep() == ()
