import os
import re
import socket
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blixard import files
from blixard.home import Home
from blixard.ops.doctor.checks import Check, Verdict
from blixard.ops.doctor.doctor import examine
from blixard.peer.node_key import hold_node_key
from blixard.site.config import LaneChoice
from blixard.site.network import NetworkSettings
from blixard.site.who import SystemClock
from support.clusters import StillClock, a_cluster

LOOPBACK = NetworkSettings(listen="127.0.0.1:0")


def checks(home: Home, network: NetworkSettings = LOOPBACK) -> dict[str, Check]:
    return {check.name: check for check in examine(home, SystemClock(), network)}


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
    with a_cluster(tmp_path) as opened, opened.locks.alone("cluster import"):
        found = checks(opened.home)

    assert found["cluster lab"].verdict is Verdict.OK
    assert "`cluster import`" in found["cluster lab"].saw


def test_a_clock_in_the_past_fails(tmp_path: Path) -> None:
    found = {
        check.name: check for check in examine(Home(tmp_path), StillClock(datetime(1970, 1, 1, tzinfo=UTC)), LOOPBACK)
    }

    assert found["clock"].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "name", ["blixard", "python", "sqlite", "libraries", "reflink", "nameless files", "file descriptors"]
)
def test_what_support_needs_is_there(tmp_path: Path, name: str) -> None:
    assert name in checks(Home(tmp_path))


def test_every_library_that_blixard_needs_is_looked_for(tmp_path: Path) -> None:
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    needed = {re.split("[>=]", line)[0] for line in project["dependencies"]}

    assert {each.split()[0] for each in checks(Home(tmp_path))["libraries"].saw.split(", ")} == needed


def test_it_sees_whether_a_node_can_be_made_and_what_the_lane_has(tmp_path: Path) -> None:
    found = checks(Home(tmp_path))

    assert found["iroh endpoint"].verdict is Verdict.OK
    assert re.search(r"at `[0-9.]+:[0-9]+`", found["iroh endpoint"].saw)
    assert found["fast lane"].saw.startswith("TLS over TCP works here")
    congestion = found["congestion control"]
    assert ("with BBR" in congestion.saw) == (congestion.verdict is Verdict.OK)


@pytest.mark.parametrize("listen", [None, "0.0.0.0:0", "[::1]:0"])
def test_the_lane_is_tried_at_the_address_of_the_settings(tmp_path: Path, listen: str | None) -> None:
    assert checks(Home(tmp_path), NetworkSettings(listen=listen))["fast lane"].verdict is Verdict.OK


def test_a_port_of_the_lane_that_is_taken_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = checks(Home(tmp_path), NetworkSettings(listen=f"127.0.0.1:{taken.getsockname()[1]}"))

    assert found["iroh endpoint"].verdict is Verdict.OK
    assert found["fast lane"].verdict is Verdict.WARN
    assert "already in use" in found["fast lane"].saw


def test_a_lane_that_is_switched_off_is_not_tried(tmp_path: Path) -> None:
    found = checks(Home(tmp_path), NetworkSettings(listen="127.0.0.1:0", lane=LaneChoice.IROH))

    assert found["fast lane"].saw == "switched off by `p2p.lane`"


def test_a_setting_that_is_no_address_fails_and_ends_the_checks_of_peers(tmp_path: Path) -> None:
    found = checks(Home(tmp_path), NetworkSettings(listen="nonsense"))

    assert found["iroh endpoint"].verdict is Verdict.FAIL
    assert "nonsense" in found["iroh endpoint"].saw
    assert "fast lane" not in found


def test_a_relay_that_does_not_answer_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = checks(Home(tmp_path), NetworkSettings(listen="127.0.0.1:0", relay=url))

    assert found["relay"].verdict is Verdict.WARN
    assert url in found["relay"].saw


def test_a_node_key_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    found = checks(Home(tmp_path))

    assert found["node key"].saw.startswith("none yet")
    assert not Home(tmp_path).node_key.exists()


@pytest.mark.parametrize(("text", "mode", "why"), [("no key\n", 0o600, "hold a key"), ("0" * 64, 0o644, "0644")])
def test_a_node_key_that_a_share_would_refuse_fails(tmp_path: Path, text: str, mode: int, why: str) -> None:
    key = Home(tmp_path).node_key
    key.write_text(text)
    key.chmod(mode)

    found = checks(Home(tmp_path))

    assert found["node key"].verdict is Verdict.FAIL
    assert why in found["node key"].saw
    assert found["node key"].hint is not None


def test_a_share_that_runs_is_named_and_its_port_is_not_missed(tmp_path: Path) -> None:
    with (
        a_cluster(tmp_path) as opened,
        opened.locks.alone("cluster export"),
        hold_node_key(opened.home, "cluster share"),
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        found = checks(opened.home, NetworkSettings(listen=f"127.0.0.1:{taken.getsockname()[1]}"))

    assert found["node key"].verdict is Verdict.OK
    assert f"`cluster share` (pid {os.getpid()})" in found["node key"].saw
    assert f"at work: `cluster share` (pid {os.getpid()})" in found["cluster lab"].saw
    assert found["fast lane"].verdict is Verdict.OK
