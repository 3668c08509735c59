"""What is damaged, stopped and interrupted: a cluster of which each test has its own copy.

A module may have a `template` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.world import World, build, fast_folder


@pytest.fixture(scope="module")
def template() -> Iterator[World]:
    with fast_folder() as folder:
        yield build(folder / "base")


@pytest.fixture
def world(template: World) -> Iterator[World]:
    with fast_folder() as folder:
        yield template.copy(folder / "world")
