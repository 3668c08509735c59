"""The lab of the import's rules: built once, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lab import Lab, build_lab
from support.world import fast_folder


@pytest.fixture(scope="session")
def built() -> Iterator[Path]:
    with fast_folder() as folder:
        yield build_lab(folder).root


@pytest.fixture
def lab(built: Path) -> Iterator[Lab]:
    with fast_folder() as folder:
        yield Lab(shutil.copytree(built, folder / "lab"))
