from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from blixard.errors import Locked, NotFound, UsageError
from blixard.home import ClusterDir, Home

Take = Callable[[ClusterDir], AbstractContextManager[object]]
VERBS: dict[str, Take] = {
    "exporting": lambda cluster: cluster.exporting("cluster export"),
    "reading_disks": lambda cluster: cluster.reading_disks("cluster extract"),
    "editing": lambda cluster: cluster.editing("vm set"),
    "alone": lambda cluster: cluster.alone("cluster import"),
    "deleting_disks": lambda cluster: cluster.deleting_disks("cluster gc"),
    "ending": lambda cluster: cluster.ending("cluster delete"),
}
TOGETHER = {
    frozenset(pair)
    for pair in [
        ("exporting", "editing"),
        ("exporting", "reading_disks"),
        ("reading_disks",),
        ("reading_disks", "editing"),
        ("reading_disks", "alone"),
        ("editing",),
        ("editing", "deleting_disks"),
        ("alone", "deleting_disks"),
    ]
}


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterDir:
    return Home(tmp_path).create("web")


@pytest.mark.parametrize("second", VERBS)
@pytest.mark.parametrize("first", VERBS)
def test_who_may_work_beside_whom(cluster: ClusterDir, first: str, second: str) -> None:
    allowed = frozenset((first, second)) in TOGETHER
    with VERBS[first](cluster):
        if allowed:
            with VERBS[second](cluster):
                pass
        else:
            with pytest.raises(Locked):
                VERBS[second](cluster)

    with VERBS["ending"](cluster):
        pass


def test_a_lock_that_is_not_got_gives_back_the_others(cluster: ClusterDir) -> None:
    with cluster.reading_disks("a"), pytest.raises(Locked):
        cluster.ending("b")

    with cluster.exporting("c"):
        pass


def test_a_cluster_deleted_while_we_waited_is_not_found(tmp_path: Path, cluster: ClusterDir) -> None:
    Home(tmp_path).delete("web")

    with pytest.raises(NotFound, match="`web`") as caught:
        cluster.editing("vm set")
    assert str(tmp_path) in caught.value.message


def test_the_store_is_sqlite_unless_told_otherwise(cluster: ClusterDir) -> None:
    assert cluster.store_choice().store == "sqlite"
    assert len(cluster.store_choice().key) == 32
    cluster.store_toml.write_text("")
    assert cluster.store_choice().store == "sqlite"


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
        cluster.store_choice()
    assert "store.toml" in caught.value.message
    assert caught.value.exit_code == 2
    assert "sqlite" in (caught.value.hint or "")
