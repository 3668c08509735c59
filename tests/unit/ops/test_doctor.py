import os
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blixard import files
from blixard.home import Home
from blixard.ops.context import SystemClock
from blixard.ops.doctor import Check, Verdict, examine
from support.clusters import StillClock, a_cluster


def checks(home: Home) -> dict[str, Check]:
    return {check.name: check for check in examine(home, SystemClock())}


def test_a_healthy_machine_passes_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as opened:
        before = sorted(tmp_path.rglob("*"))

        found = checks(opened.home)

        assert [name for name, check in found.items() if check.verdict is Verdict.FAIL] == []
        assert found["cluster lab"].saw.startswith("readable, revision 0")
        assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


def test_a_data_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    found = checks(Home(tmp_path / "none"))

    assert found["data directory"].verdict is Verdict.OK
    assert not (tmp_path / "none").exists()


def test_a_data_directory_that_cannot_be_written_fails_with_a_next_step(tmp_path: Path) -> None:
    def refuse(_operation: str, _path: str) -> None:
        raise OSError(30, os.strerror(30))

    with files.observe(refuse):
        found = checks(Home(tmp_path))

    assert found["data directory"].verdict is Verdict.FAIL
    assert found["data directory"].hint is not None


def test_a_damaged_cluster_is_named(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as opened:
        home = opened.home
    home.cluster("lab").state_db.write_bytes(b"no database" * 500)

    assert checks(home)["cluster lab"].verdict is Verdict.FAIL


def test_who_holds_a_cluster_is_named(tmp_path: Path) -> None:
    with a_cluster(tmp_path) as opened, opened.directory.alone("cluster import"):
        found = checks(opened.home)

    assert found["cluster lab"].verdict is Verdict.OK
    assert "`cluster import`" in found["cluster lab"].saw


def test_a_clock_in_the_past_fails(tmp_path: Path) -> None:
    found = {check.name: check for check in examine(Home(tmp_path), StillClock(datetime(1970, 1, 1, tzinfo=UTC)))}

    assert found["clock"].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "name", ["blixard", "python", "sqlite", "libraries", "reflink", "nameless files", "file descriptors"]
)
def test_what_support_needs_is_there(tmp_path: Path, name: str) -> None:
    assert name in checks(Home(tmp_path))


def test_every_library_that_blixard_needs_is_looked_for(tmp_path: Path) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    needed = {re.split("[>=]", line)[0] for line in project["dependencies"]}

    assert {each.split()[0] for each in checks(Home(tmp_path))["libraries"].saw.split(", ")} == needed


def test_it_sees_whether_a_node_can_be_made_and_what_the_lane_has(tmp_path: Path) -> None:
    found = checks(Home(tmp_path))

    assert found["iroh endpoint"].verdict is Verdict.OK
    assert re.search(r"at `[0-9.]+:[0-9]+`", found["iroh endpoint"].saw)
    assert ("with BBR" in found["fast lane"].saw) == (found["fast lane"].verdict is Verdict.OK)
