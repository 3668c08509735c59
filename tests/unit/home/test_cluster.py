from pathlib import Path

import pytest

from blixard.errors import UsageError
from blixard.home import ClusterDir, Home


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterDir:
    return Home(tmp_path).create("web")


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
