"""DESIGN.md section 6 through the command line: plans, what is looked at before, pipes, and files of other forms."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from blixard.home import Home
from blixard.home.locks import FlockLocks
from support.lab import DATA_DISK, DB_DISK, ROOT_DISK, Lab, Machine
from support.shell import BLIXARD, cron_environment
from support.small_disk import small_disk

ALL_DISKS = {"web-1/root": ROOT_DISK, "web-1/data": DATA_DISK, "db-1/root": DB_DISK}

# plans


def test_a_dry_run_prints_the_plan_and_touches_nothing(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz")
    lab.target.run("vm", "delete", "db-1", "-y")
    lab.target.run("vm", "create", "pet")
    before = lab.target.state()

    told = lab.target.load(lab.edited("e.json", web_1={"memory": 640}), "--dry-run")

    for line in ("+ VM db-1", "- VM pet", "~ VM web-1", "    /memory: 512 -> 640"):
        assert line in told.out.splitlines()
    assert lab.target.state() == before


def test_a_dry_run_ends_with_5_when_something_would_change_and_with_0_when_not(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz", "--dry-run", "--exit-code", code=5)
    lab.target.load(lab / "full.json.gz")

    lab.target.load(lab / "full.json.gz", "--dry-run", "--exit-code", code=0)


def test_a_saved_plan_is_applied_exactly(lab: Lab) -> None:
    lab.target.run("cluster", "init", "prod")
    shown = lab.target.json("cluster", "import", "-i", lab / "full.json.gz", "--dry-run", "--plan-out", lab / "p")

    lab.target.load(lab / "full.json.gz", "--plan", lab / "p")

    vms = lab.target.vms()
    assert {change["name"]: change["id"] for change in shown["plan"]["vms"]} == {n: vm["id"] for n, vm in vms.items()}
    assert lab.target.contents() == ALL_DISKS


def test_a_saved_plan_of_a_new_cluster_makes_that_cluster(lab: Lab) -> None:
    shown = lab.target.json("cluster", "import", "-i", lab / "full.json.gz", "--dry-run", "--plan-out", lab / "p")

    lab.target.load(lab / "full.json.gz", "--plan", lab / "p")

    assert lab.target.export()["metadata"]["cluster_id"] == shown["plan"]["target"]["id"]


@pytest.mark.parametrize("moved", ["state", "file", "rules"])
def test_a_saved_plan_is_refused_when_anything_has_moved(moved: str, lab: Lab) -> None:
    lab.target.run("cluster", "init", "prod")
    lab.target.load(lab / "state.json", "--dry-run", "--plan-out", lab / "p")
    file, more = lab / "state.json", ["--plan", str(lab / "p")]
    if moved == "state":
        lab.target.run("vm", "create", "pet")
    elif moved == "file":
        file = lab.edited("other.json", web_1={"memory": 1})
    else:
        more += ["--prefix", "p-"]
    before = lab.target.state()

    told = lab.target.load(file, *more, code=22)

    assert "the plan does not hold any more" in told.err
    assert lab.target.state() == before


def test_an_edited_plan_is_no_plan(lab: Lab) -> None:
    lab.target.run("cluster", "init", "prod")
    lab.target.load(lab / "state.json", "--dry-run", "--plan-out", lab / "p")
    (lab / "p").write_text((lab / "p").read_text().replace('"memory":512', '"memory":513'))

    told = lab.target.load(lab / "state.json", "--plan", lab / "p", code=11)

    assert "the plan was edited" in told.err


# preflight


@pytest.mark.root
def test_space_is_checked_before_anything_is_written(lab: Lab) -> None:
    with small_disk(lab / "small", 4 << 20) as folder:
        told = Machine(folder / "data").load(lab / "full.json.gz", code=30)
        left = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 100_000]

    assert "not enough space" in told.err
    assert left == []


def test_a_disk_in_use_is_refused_with_the_pid_unless_forced(lab: Lab) -> None:
    lab.target.load(lab / "full.json.gz")
    lab.target.scribble("web-1", b"running")
    [path] = [each for each in Home(lab.target.data).cluster("prod").disks.iterdir() if _begins(each, b"running")]
    before = lab.target.state()
    with path.open("r+b"):
        told = lab.target.load(lab / "full.json.gz", code=4)
        kept = lab.target.state()
        lab.target.load(lab / "full.json.gz", "--force-in-use")

    assert f"pid {os.getpid()}" in told.err
    assert "--force-in-use" in told.err
    assert kept == before
    assert lab.target.content("web-1") == ROOT_DISK


def _begins(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes().startswith(data)


def test_an_import_finds_the_lock_of_another_command_and_names_it(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz")
    cluster = Home(lab.target.data).cluster("prod")

    with FlockLocks(cluster).alone("cluster import"):
        told = lab.target.load(lab / "state.json.gz", code=21)

    assert f"{os.getpid()}" in told.err
    [failed] = lab.target.json("cluster", "history", "--failed")["entries"]
    assert failed["entry"]["error_id"] == "state.locked"


# how a file comes


def pipe(script: str, lab: Lab) -> subprocess.CompletedProcess[str]:
    """A shell script in the lab's folder, on the target machine."""
    environment = cron_environment(lab.target.data)
    environment["PATH"] = f"{Path(BLIXARD).parent}:{environment['PATH']}"
    made = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(made, cwd=lab.root, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_an_export_goes_through_a_pipe_into_an_import(lab: Lab) -> None:
    export = f"blixard cluster export -o - --include-images --data-dir {lab.source.data}"

    done = pipe(f"{export} | blixard cluster import -i -", lab)

    assert done.returncode == 0, done
    assert lab.target.contents() == ALL_DISKS


@pytest.mark.parametrize(
    "form",
    [
        "zcat full.json.gz",
        "zcat full.json.gz | jq .",
        "zcat full.json.gz | jq -c .",
        "zcat full.json.gz | jq -S .",
        "zcat full.json.gz | jq --tab -S .",
        "zcat full.json.gz | gzip -9",
        "zcat full.json.gz | jq -S . | gzip -1",
        "cat full.json.gz",
    ],
)
@pytest.mark.parametrize("by_file", [True, False])
def test_a_file_of_another_form_is_the_same_document(form: str, lab: Lab, *, by_file: bool) -> None:
    """Unpacked, re-formatted, sorted, packed again: whole, with every digest, in a file or through a pipe."""
    into = "> f && blixard cluster import -i f --strict" if by_file else "| blixard cluster import -i - --strict"

    done = pipe(f"{form} {into}", lab)

    assert done.returncode == 0, done
    assert lab.target.contents() == ALL_DISKS
    made, source = lab.target.export(), lab.source.export()
    assert made["metadata"]["provenance"]["cluster_id"] == source["metadata"]["cluster_id"]
    assert {name: vm["id"] for name, vm in made["vms"].items()} == {n: vm["id"] for n, vm in source["vms"].items()}


def test_a_hand_edited_plain_file_imports_with_a_warning_that_names_what_was_edited(lab: Lab) -> None:
    text = (lab / "state.json").read_text().replace('"memory": 512', '"memory": 640')
    file = lab.write("edited.json", text)

    told = lab.target.load(file)
    refused = lab.target.load(file, "--strict", "-c", "strict", code=11)

    assert "warning: " in told.err
    assert "vms" in next(line for line in told.err.splitlines() if "edited" in line)
    assert lab.target.vms()["web-1"]["memory"] == 640
    assert "edited" in refused.err


def test_an_edited_gzip_file_is_refused_unless_accepted(lab: Lab) -> None:
    text = gzip.decompress((lab / "state.json.gz").read_bytes()).replace(b'"memory": 512', b'"memory": 640')
    (lab / "edited.json.gz").write_bytes(gzip.compress(text))

    refused = lab.target.load(lab / "edited.json.gz", code=11)
    lab.target.load(lab / "edited.json.gz", "--accept-edited")

    assert "--accept-edited" in refused.err
    assert lab.target.vms()["web-1"]["memory"] == 640


def damaged(lab: Lab) -> Path:
    """The full file, plain, with the first record of the first image broken."""
    document = json.loads(gzip.decompress((lab / "full.json.gz").read_bytes()))
    record = document["images"][0]["records"][0]
    record["blake3"] = record["blake3"][::-1]
    for key in ("index", "record_tables", "integrity"):
        document.pop(key, None)
    return lab.write("damaged.json", document)


def test_one_damaged_image_stops_the_import_and_is_named(lab: Lab) -> None:
    told = lab.target.load(damaged(lab), code=11)

    assert "`db-1/root`" in told.err
    assert "--skip-damaged" in told.err
    assert not list(lab.target.data.glob("clusters/[!.]*"))


def test_damaged_images_are_left_out_when_told(lab: Lab) -> None:
    told = lab.target.load(damaged(lab), "--skip-damaged", code=3)

    assert "`db-1/root` was not taken" in told.err
    assert lab.target.contents() == {**ALL_DISKS, "db-1/root": None}


# history


def test_the_history_finds_a_file_again_whatever_its_form(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz")
    done = pipe("zcat state.json.gz | jq -S . > other.json", lab)
    assert done.returncode == 0, done

    found = lab.target.json("cluster", "history", "--file", lab / "other.json")["entries"]
    lab.target.run("cluster", "history", "--file", lab / "full.json.gz", code=20)

    assert [each["entry"]["verb"] for each in found] == ["cluster import"]


def test_a_failed_import_is_in_the_history(lab: Lab) -> None:
    lab.target.load(lab / "state.json.gz")
    lab.target.run("vm", "create", "pet")
    lab.target.load(damaged(lab), code=11)

    found = lab.target.json("cluster", "history", "--failed")["entries"]

    assert [each["entry"]["exit_code"] for each in found] == [11]
