import pytest

from blixard.model.structs import ClusterSnapshot
from support.books_conformance import BookedCluster, BooksConformance
from support.memory_store import MemoryCluster
from support.state import uid
from support.store_conformance import StoreConformance, StoredCluster


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def cluster(self) -> StoredCluster:
        return MemoryCluster(ClusterSnapshot(id=uid(9), name="web", revision=0))


class TestMemoryBooks(BooksConformance):
    @pytest.fixture
    def cluster(self) -> BookedCluster:
        return MemoryCluster(ClusterSnapshot(id=uid(9), name="web", revision=0))
