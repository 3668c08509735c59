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


@pytest.mark.parametrize("text", ["store = 5", "store =", 'store = "' + "x" * 70_000 + '"'])
def test_a_file_that_is_not_readable_is_a_clear_refusal(cluster: ClusterDir, text: str) -> None:
    cluster.store_toml.write_text(text)

    with pytest.raises(UsageError, match="not readable") as caught:
        cluster.store_choice()
    assert "store.toml" in caught.value.message
