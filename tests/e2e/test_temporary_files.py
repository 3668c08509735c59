"""A system's temporary folder may be small, or memory: what does not fit into memory goes where the work is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import Ran
from support.world import World, build, fast_folder


@pytest.fixture
def world() -> Iterator[World]:
    with fast_folder() as folder:
        made = build(folder / "world")
        (made.root / "config.toml").write_text("[limits]\nspill_bytes = 2\n")
        yield made


def run(world: World, *arguments: str | Path) -> Ran:
    """With a system without room for temporary files, and none in memory."""

    def no_room() -> None:
        os.environ["BLIXARD_CONFIG"] = str(world.root / "config.toml")
        os.environ["TMPDIR"] = tempfile.tempdir = "/nonexistent"

    return world.blixard(*arguments, before=no_room)


def test_what_does_need_it_says_so(world: World) -> None:
    """Else the others below prove nothing."""
    ran = run(world, "cluster", "verify", world.out / "new.json.gz")

    assert (ran.code, "temporary file in `/nonexistent`" in ran.err) == (30, True), ran


def test_export_needs_no_temporary_folder_of_the_system(world: World) -> None:
    ran = run(world, "cluster", "export", "-o", world.out / "x.gz", "--include-images")

    assert ran.code == 0, ran
    assert not [each.name for each in world.out.iterdir() if each.name.startswith(("tmp", "."))]


def test_export_to_standard_output_needs_none_either(world: World) -> None:
    ran = run(world, "cluster", "export", "-o", "-", "--no-compress", "--include-images")

    assert ran.code == 0, ran.err


def test_import_of_a_part_needs_no_temporary_folder_of_the_system(world: World) -> None:
    ran = run(world, "cluster", "import", world.out / "new.json.gz", "--only", "vm=db", "-y")

    assert ran.code == 0, ran.err
