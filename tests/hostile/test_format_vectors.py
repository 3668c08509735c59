from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blixard.format.reader import read_export
from blixard.limits import MIB
from hostile.format_bombs import BOMBS
from hostile.format_documents import BASE, TEXT, Vector
from hostile.format_vectors import VECTORS
from support.documents import read

# research/reliability-anchors.md section 4, row 12; CPU time, and memory above that of an idle process
SECONDS = 5.0
PEAK = 320 * MIB


@pytest.fixture(scope="module")
def explosions() -> dict[str, dict[str, Any]]:
    """What each bomb did, by name."""
    runner = Path(__file__).parent / "run_format_bombs.py"
    done = subprocess.run([sys.executable, runner], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row for row in rows}


def test_there_are_enough_vectors_and_no_two_of_one_name() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS) >= 120


def test_the_document_that_they_change_is_valid() -> None:
    assert list(BASE)[:2] == ["version", "exported_at"]
    assert read(TEXT).end.report.intact


@pytest.mark.parametrize("vector", [v for v in VECTORS if v not in BOMBS], ids=lambda vector: vector.name)
def test_a_hostile_document_meets_its_error(vector: Vector) -> None:
    with pytest.raises(vector.error) as caught:
        for _ in read_export(vector.build(), limits=vector.limits):
            pass

    assert type(caught.value) is vector.error
    assert vector.says in caught.value.message


@pytest.mark.parametrize("vector", BOMBS, ids=lambda vector: vector.name)
def test_a_bomb_meets_its_error_in_bounded_time_and_memory(
    vector: Vector, explosions: dict[str, dict[str, Any]]
) -> None:
    row = explosions[vector.name]

    assert row["error"].startswith(vector.error.__name__ + ": ")
    assert vector.says in row["error"]
    assert row["seconds"] < SECONDS
    assert row["peak"] < PEAK
