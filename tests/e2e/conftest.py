"""What several modules begin from: the lab of the import's rules, and a cluster whose export is served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cuts import an_empty_world
from support.lab import Lab, build_lab
from support.shares import Stand, a_stand
from support.world import World, build, fast_folder


@pytest.fixture(scope="session")
def built() -> Iterator[Path]:
    with fast_folder() as folder:
        yield build_lab(folder).root


@pytest.fixture
def lab(built: Path) -> Iterator[Lab]:
    with fast_folder() as folder:
        yield Lab(shutil.copytree(built, folder / "lab"))


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    """A cluster with disks and its exports; not to be changed."""
    with fast_folder() as folder:
        yield build(folder / "here")


@pytest.fixture
def there(made: World) -> Iterator[World]:
    """A copy of the cluster as it is now, to be replaced by the export of how it was."""
    with fast_folder() as folder:
        yield made.copy(folder / "there")


@pytest.fixture
def empty() -> Iterator[World]:
    """Another machine's data directory, with nothing in it."""
    with fast_folder() as folder:
        yield an_empty_world(folder)


@pytest.fixture
def bare(empty: World) -> World:
    """Another machine's cluster `web`, without VMs."""
    empty.must("cluster", "init", "web")
    return empty


@pytest.fixture
def stand(made: World) -> Iterator[Stand]:
    """A sender of the export `new.json.gz`, whose document a test may bend."""
    with a_stand(made.out / "new.json.gz") as stand:
        yield stand
