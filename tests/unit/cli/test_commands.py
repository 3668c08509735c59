"""The commands in one process: what they print for people, for programs, and not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blixard.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line on a data directory of its own; code, stdout, stderr."""
    for name in ("BLIXARD_CLUSTER", "FORCE_COLOR", "BLIXARD_PROGRESS", "BLIXARD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BLIXARD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run_one(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return run_one


@pytest.fixture
def lab(run: Run, tmp_path: Path) -> Run:
    """A cluster `lab` with the VM `web-1`."""
    (tmp_path / "root.raw").write_bytes(b"x" * 5000)
    assert run("cluster", "init", "lab")[0] == 0
    assert run("vm", "create", "web-1", "--disk", str(tmp_path / "root.raw"))[0] == 0
    return run


def document(done: tuple[int, str, str]) -> Any:
    code, out, err = done
    assert (code, err) == (0, "")
    return json.loads(out)


def test_without_a_cluster_the_data_directory_is_named(run: Run, tmp_path: Path) -> None:
    code, out, err = run("cluster", "status")

    assert (code, out) == (20, "")
    assert str(tmp_path / "data") in err
    assert "blixard cluster init" in err


def test_a_named_cluster_that_is_not_there_is_told_with_those_that_are(lab: Run, tmp_path: Path) -> None:
    code, _, err = lab("cluster", "status", "-c", "prod")

    assert code == 20
    assert str(tmp_path / "data") in err
    assert "`lab`" in err


def test_the_cluster_may_be_named_by_flag_or_variable(lab: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lab("cluster", "init", "prod")

    assert document(lab("cluster", "status", "--json", "-c", "prod"))["status"]["name"] == "prod"
    assert document(lab("cluster", "status", "--json"))["status"]["name"] == "lab"
    monkeypatch.setenv("BLIXARD_CLUSTER", "prod")
    assert document(lab("cluster", "status", "--json"))["status"]["name"] == "prod"
    assert document(lab("cluster", "status", "--json", "-c", "lab"))["status"]["name"] == "lab"


def test_the_only_cluster_is_the_current_one_even_when_none_was_chosen(lab: Run, tmp_path: Path) -> None:
    (tmp_path / "data/current").unlink()

    assert document(lab("cluster", "status", "--json"))["status"]["name"] == "lab"


def test_two_names_that_differ_are_a_mistake(run: Run) -> None:
    assert run("cluster", "init", "a", "-c", "b")[0] == 2


def test_clusters_are_listed_used_and_renamed(lab: Run) -> None:
    lab("cluster", "init", "prod")

    assert "* lab" in lab("cluster", "list")[1]
    assert lab("cluster", "use", "prod")[0] == 0
    assert lab("cluster", "rename", "live", "-c", "prod")[0] == 0
    listed = document(lab("cluster", "list", "--json"))["clusters"]
    assert [(each["name"], each["current"]) for each in listed] == [("lab", False), ("live", True)]


def test_the_status_is_a_page(lab: Run) -> None:
    code, out, _ = lab("cluster", "status")

    lines = dict(line.split(":", maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert lines["vms"].strip() == "1: 0 to run, 1 stopped"
    assert lines["last export"].strip() == "never"
    assert lines["undo"].strip() == "nothing"


def test_a_stale_cluster_is_told_and_is_six(lab: Run) -> None:
    code, out, err = lab("cluster", "status", "--max-age", "26h", "--require", "images,telemetry")

    assert code == 6
    assert out.startswith("cluster:")
    assert err == "warning: there never was a whole export with images and telemetry\n"


def test_what_can_be_required_is_checked(lab: Run) -> None:
    assert lab("cluster", "status", "--max-age", "1h", "--require", "disks")[0] == 2
    assert lab("cluster", "status", "--require", "images")[0] == 2


def test_quiet_says_nothing_on_success(lab: Run, tmp_path: Path) -> None:
    image = str(tmp_path / "root.raw")
    for arguments in (
        ["vm", "create", "web-2", "--disk", image],
        ["vm", "set", "web-2", "--vcpus", "2"],
        ["vm", "attach-image", "web-2", "root", image, "--replace"],
        ["vm", "release", "web-2"],
        ["vm", "trust", "web-2"],
        ["vm", "delete", "web-2"],
        ["node", "add", "--bind-addr", "h:1"],
        ["node", "remove", "2"],
        ["cluster", "init", "other"],
        ["cluster", "use", "other"],
        ["cluster", "rename", "another", "-c", "other"],
        ["cluster", "delete", "another", "-y"],
        ["cluster", "status", "-c", "lab"],
        ["cluster", "gc", "-c", "lab"],
    ):
        assert lab(*arguments, "-q") == (0, "", ""), arguments


def test_every_change_can_be_told_as_one_json_document(lab: Run, tmp_path: Path) -> None:
    image = str(tmp_path / "root.raw")
    for arguments in (
        ["vm", "create", "web-2", "--disk", image],
        ["vm", "set", "web-2", "--vcpus", "2"],
        ["vm", "attach-image", "web-2", "root", image, "--replace"],
        ["vm", "release", "web-2"],
        ["vm", "trust", "web-2"],
        ["vm", "list"],
        ["vm", "show", "web-2"],
        ["vm", "delete", "web-2"],
        ["node", "add", "--bind-addr", "h:1"],
        ["node", "list"],
        ["node", "show", "1"],
        ["node", "remove", "2"],
        ["cluster", "init", "other"],
        ["cluster", "use", "other"],
        ["cluster", "rename", "another", "-c", "other"],
        ["cluster", "delete", "another", "-y"],
        ["cluster", "history", "-c", "lab"],
        ["cluster", "gc", "-c", "lab"],
        ["telemetry", "show", "-c", "lab"],
        ["telemetry", "show", "--imported", "-c", "lab"],
        ["config", "show"],
    ):
        document(lab(*arguments, "--json"))


def test_a_vm_is_shown_whole(lab: Run, tmp_path: Path) -> None:
    (tmp_path / "vm.nix").write_text("{}")
    lab(
        "vm", "create", "db", "--vcpus", "4", "--memory", "2GB", "--ip", "10.0.0.5", "--label", "a=b",
        "--metadata", "k=v", "--network", "lan,bridge=br0", "--file", f"config={tmp_path}/vm.nix",
        "--disk", f"{tmp_path}/root.raw,name=data,read-only=on,boot-index=3", "--image-in-place",
    )  # fmt: skip

    _, out, _ = lab("vm", "show", "db")

    for part in ("4 vcpus, 2000 MB", "10.0.0.5", "a=b", "k=v", "lan, bridge br0", "vm.nix, config, inline"):
        assert part in out
    assert f"data, raw, 4.9 KiB, virtio, boot 3, read-only, in place at {tmp_path}/root.raw" in out


def test_vms_are_listed_with_what_keeps_them(lab: Run) -> None:
    lab("vm", "create", "bare")

    _, out, _ = lab("vm", "list")

    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "bare", "web-1"]


def test_nothing_to_change_is_a_mistake(lab: Run) -> None:
    assert lab("vm", "set", "web-1")[0] == 2


def test_an_address_is_taken_away_by_name(lab: Run) -> None:
    lab("vm", "set", "web-1", "--ip", "10.0.0.1")
    lab("vm", "set", "web-1", "--ip", "none")

    assert document(lab("vm", "show", "web-1", "--json"))["vm"]["ip_address"] is None


def test_a_deletion_tells_how_to_go_back(lab: Run) -> None:
    _, _, err = lab("vm", "delete", "web-1")

    assert "`blixard cluster undo 1` brings it back" in err


def test_the_history_shows_who_did_what(lab: Run) -> None:
    lab("vm", "show", "ghost")
    lab("vm", "delete", "ghost")

    _, out, _ = lab("cluster", "history", "--failed")

    assert [line.split()[0] for line in out.splitlines()] == ["ID", "3"]
    assert "no VM `ghost`" in out
    assert lab("cluster", "history", "--document", "ab" * 32)[0] == 20


def test_gc_tells_what_it_freed(lab: Run, tmp_path: Path) -> None:
    (tmp_path / "data/clusters/lab/disks/nobody.raw").write_bytes(b"x" * 5000)

    code, out, err = lab("cluster", "gc", "--dry-run")
    assert code == 0
    assert "nobody.raw" in out
    assert "would be freed" in err
    assert document(lab("cluster", "gc", "--json"))["freed"][0]["name"] == "nobody.raw"
    assert lab("cluster", "gc")[1] == ""


def test_the_log_and_a_sample_are_shown(lab: Run) -> None:
    lab("vm", "delete", "ghost")

    _, log, _ = lab("telemetry", "show")
    _, metrics, _ = lab("telemetry", "show", "--metrics")

    assert "ERROR  vm delete: no VM `ghost`" in log
    assert "system.memory.usage" in metrics
    told = document(lab("telemetry", "show", "--json"))
    assert set(told) == {"resourceMetrics", "resourceLogs"}


def test_imported_telemetry_is_shown_as_somebody_elses(lab: Run, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from blixard.telemetry.store import TelemetryOrigin, TelemetryStore

    now = datetime.now(UTC)
    origin = TelemetryOrigin(cluster_name="old", cluster_id=None, exported_at=now, document="d", imported_at=now)
    record = {"timeUnixNano": "junk", "severityText": "INFO", "body": {"stringValue": "\x1b[2Jhello"}}
    with TelemetryStore(tmp_path / "data/clusters/lab/telemetry.db") as store:
        store.add_imported(origin, [("resourceLogs", {"scopeLogs": [{"logRecords": [record]}]})])

    _, out, _ = lab("telemetry", "show", "--imported")

    assert out.startswith("from cluster old, exported ")
    assert "\\x1b[2Jhello" in out
    assert "hello" not in lab("telemetry", "show")[1]


def test_doctor_passes_here(lab: Run) -> None:
    code, out, _ = lab("doctor")

    assert code == 0
    assert "cluster lab" in out


def test_another_nodes_id_is_refused(lab: Run) -> None:
    assert lab("vm", "list", "--node-id", "1")[0] == 0
    code, _, err = lab("vm", "list", "--node-id", "2")
    assert code == 2
    assert "is node 1" in err


def test_the_node_id_is_chosen_at_init(run: Run) -> None:
    assert document(run("cluster", "init", "lab", "--node-id", "7", "--json"))["node_id"] == 7


def test_a_name_of_a_cluster_is_checked_before_it_is_a_path(run: Run) -> None:
    code, _, err = run("cluster", "status", "-c", "../../etc")

    assert code == 2
    assert err.startswith("error: `cluster`: '../../etc' is not a name")
