from functools import partial
from pathlib import Path

import pytest

from blixard.errors import UsageError
from blixard.home import ClusterDir, Home
from blixard.store.opening import make_store, open_store, open_with_books
from support.state import uid


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterDir:
    return Home(tmp_path).create("web", partial(make_store, cluster_id=uid(9)))


@pytest.mark.parametrize("text", [None, ""])
def test_a_cluster_has_the_embedded_store_unless_told_otherwise(cluster: ClusterDir, text: str | None) -> None:
    if text is not None:
        cluster.store_toml.write_text(text)
    store, books = open_with_books(cluster)
    with store, books:
        assert (store.snapshot().id, store.raft_state().engine, books.imports()) == (uid(9), "sqlite", ())


def test_the_name_of_the_directory_counts(tmp_path: Path, cluster: ClusterDir) -> None:
    Home(tmp_path).rename(cluster.name, "front")

    with open_store(Home(tmp_path).cluster("front")) as store:
        assert store.snapshot().name == "front"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('store = "etcd://10.0.0.1:2379,10.0.0.2:2379/prod"', "etcd is not in this version"),
        ('store = "https://etcd.example:2379"', "etcd is not in this version"),
        ('store = "postgres"', "unknown store `postgres`"),
        ("store = 5", "not readable"),
        ("store =", "not readable"),
        ('store = "' + "x" * 70_000 + '"', "not readable"),
    ],
)
def test_another_store_is_a_clear_refusal(cluster: ClusterDir, text: str, message: str) -> None:
    cluster.store_toml.write_text(text)

    with pytest.raises(UsageError, match=message) as caught:
        open_store(cluster)
    assert "store.toml" in caught.value.message
    assert caught.value.exit_code == 2
    assert "sqlite" in (caught.value.hint or "")
