"""A system's temporary folder may be small, or memory: what does not fit into memory goes where the work is."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.world import World, build, fast_folder


@pytest.fixture
def world() -> Iterator[World]:
    with fast_folder() as folder:
        made = build(folder / "world")
        (made.data / "config.toml").write_text("[limits]\nspill_bytes = 2\n")
        yield made


def without_temporary_folder() -> None:
    os.environ["TMPDIR"] = "/nonexistent"
    import tempfile

    tempfile.tempdir = "/nonexistent"


def test_export_needs_no_temporary_folder_of_the_system(world: World) -> None:
    ran = world.blixard(
        "cluster", "export", "-o", world.out / "x.gz", "--include-images", before=without_temporary_folder
    )

    assert ran.code == 0, ran
    assert not [each.name for each in world.out.iterdir() if each.name.startswith(("tmp", "."))]


def test_export_to_standard_output_needs_none_either(world: World) -> None:
    ran = world.blixard(
        "cluster", "export", "-o", "-", "--no-compress", "--include-images", before=without_temporary_folder
    )

    assert ran.code == 0, ran.err


def test_import_of_a_part_needs_no_temporary_folder_of_the_system(world: World) -> None:
    ran = world.blixard(
        "cluster", "import", world.out / "new.json.gz", "--only", "vm=db", "-y", before=without_temporary_folder
    )

    assert ran.code == 0, ran.err
