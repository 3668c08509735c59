from pathlib import Path

import pytest

from blixard.ports import NodeBooks, StateStore
from blixard.store.sqlite.store import SqliteStore
from support.books_conformance import BookedCluster, BooksConformance
from support.state import uid
from support.store_conformance import StoreConformance, StoredCluster


class SqliteCluster:
    def __init__(self, path: Path) -> None:
        self._path = path
        SqliteStore.create(path, cluster_id=uid(9), name="web")

    def open(self) -> StateStore:
        return SqliteStore(self._path)

    def open_with_books(self) -> tuple[StateStore, NodeBooks]:
        store = SqliteStore(self._path)
        return store, store.books


class TestSqliteStore(StoreConformance):
    @pytest.fixture
    def cluster(self, tmp_path: Path) -> StoredCluster:
        return SqliteCluster(tmp_path / "state.db")


class TestSqliteBooks(BooksConformance):
    @pytest.fixture
    def cluster(self, tmp_path: Path) -> BookedCluster:
        return SqliteCluster(tmp_path / "state.db")
