"""The commands that look into files, as a shell runs them: what they print, where, and how they end."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from blixard.format.index import open_fast
from blixard.place import open_input
from support.cluster_files import (
    cluster_document,
    config_file,
    disk_contents,
    edited,
    nothing,
    put,
    record_place,
    with_damaged_record,
)
from support.shell import BLIXARD, blixard, cron_environment

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


def run(folder: Path, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return blixard(folder / "data", "cluster", *arguments, cwd=folder, **options)


def more_memory(document: dict[str, Any]) -> None:
    document["vms"]["web-1"]["memory"] = 4096


GOLDEN_INSPECT = """\
file:       cluster.json (plain JSON, {size})
cluster:    prod, revision 4
written:    2026-07-27 12:00:00Z by blixard 0.1.0 on node 1
document:   {document}
nodes:      2
vms:        3
disks:      4, 12.0 MiB as guests see them, 349.7 KiB of data
ratio:      {ratio} bytes of data in a byte of the file
telemetry:  1 resourceMetrics, 2 resourceLogs

VM     DISKS  VIRTUAL       DATA    IN FILE  CONSISTENCY  REMARKS
cfg        0      0 B    4.9 KiB    6.6 KiB  stopped
db-1       2  8.0 MiB  238.4 KiB  {in_file}  stopped
web-1      1  4.0 MiB  106.4 KiB   12.0 KiB  stopped
"""

GOLDEN_DAMAGED = """\
result:    damaged
document:  {document}
checked:   8 records, 349.7 KiB of disk content
intact:    2: cfg, db-1
damaged:   1: web-1 (root)

VM     DISK  DAMAGE
web-1  root  record 1 (offset 2097152): {why}

To bring back what is intact:
  blixard cluster import -i cluster.json --skip-damaged --only vm=cfg --only vm=db-1
"""


def test_inspect_shows_a_page(tmp_path: Path) -> None:
    put(tmp_path, cluster_document())
    told = json.loads(run(tmp_path, "inspect", "cluster.json", "--json").stdout)

    done = run(tmp_path, "inspect", "cluster.json")

    in_file = next(row["stored_bytes"] for row in told["vms"] if row["name"] == "db-1")
    assert done.stdout == GOLDEN_INSPECT.format(
        size=f"{told['sizes']['file_bytes'] / 1024:.1f} KiB",
        document=told["document"],
        ratio=f"{told['ratio']:.2f}",
        in_file=f"{in_file / 1024:.1f} KiB",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_inspect_takes_the_file_behind_secrets_for_a_file(tmp_path: Path) -> None:
    def leaky(document: dict[str, Any]) -> None:
        document["vms"]["web-1"]["metadata"] = {"db_password": "hunter2"}

    put(tmp_path, edited(cluster_document(), leaky))

    masked = run(tmp_path, "inspect", "--secrets", "cluster.json")
    clear = run(tmp_path, "inspect", "--secrets=clear", "cluster.json")

    assert "/vms/web-1/metadata/db_password  secret key  (redacted)" in masked.stdout
    assert "hunter2" not in masked.stdout
    assert "hunter2" in clear.stdout


def test_verify_says_intact_and_ends_with_0(tmp_path: Path) -> None:
    put(tmp_path, cluster_document(compress=True), "backup.json.gz")

    done = run(tmp_path, "verify", "-i", "backup.json.gz")

    assert done.returncode == 0
    assert done.stdout.startswith("result:    intact\n")
    assert done.stderr == ""


def test_verify_is_silent_on_success_when_asked(tmp_path: Path) -> None:
    put(tmp_path, cluster_document())

    done = run(tmp_path, "verify", "-q", "cluster.json")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_shows_what_is_damaged_and_how_to_restore_the_rest(tmp_path: Path) -> None:
    put(tmp_path, with_damaged_record(cluster_document(), 2, 1))
    told = json.loads(run(tmp_path, "verify", "cluster.json", "--json").stdout)

    done = run(tmp_path, "verify", "cluster.json")

    why = told["images"][2]["damaged"].partition("): ")[2]
    assert done.stdout == GOLDEN_DAMAGED.format(document=told["document"], why=why)
    assert done.returncode == told["exit_code"] == 11
    assert done.stderr.splitlines()[0] == "error: `cluster.json` is damaged: 1 disk of 4"


def test_the_command_that_verify_prints_restores_the_intact_vms(tmp_path: Path) -> None:
    put(tmp_path, with_damaged_record(cluster_document(), 2, 1))
    told = json.loads(run(tmp_path, "verify", "cluster.json", "--json").stdout)
    (line,) = told["restore"]

    done = run(tmp_path, *shlex.split(line)[2:], "-c", "restored")
    listed = blixard(tmp_path / "data", "vm", "list", "-c", "restored", "--json")

    assert done.returncode == 0, done.stderr
    assert [each["name"] for each in json.loads(listed.stdout)["vms"]] == ["cfg", "db-1"]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_the_lines_that_verify_prints_for_a_cut_file_take_its_disks_out(tmp_path: Path, *, compress: bool) -> None:
    whole = cluster_document(compress=compress)
    begin, _ = record_place(whole, 2, 1)
    put(tmp_path, whole[:begin])

    done = run(tmp_path, "verify", "cluster.json", "--json")
    told = json.loads(done.stdout)
    for line in told["restore"]:
        assert run(tmp_path, *shlex.split(line)[2:]).returncode == 0

    assert done.returncode == 10
    assert json.loads(done.stderr)["error"]["id"] == "export.malformed"
    assert (tmp_path / "db-1-root.raw").read_bytes() == disk_contents(whole)["db-1/root"]
    assert (tmp_path / "db-1-data.raw").read_bytes() == disk_contents(whole)["db-1/data"]


def test_verify_warns_of_edits_that_are_allowed(tmp_path: Path) -> None:
    put(tmp_path, edited(cluster_document(), more_memory))

    refused = run(tmp_path, "verify", "cluster.json")
    allowed = run(tmp_path, "verify", "cluster.json", "--allow-edited")

    assert (refused.returncode, allowed.returncode) == (11, 0)
    assert refused.stderr.splitlines()[0] == "error: `cluster.json` was edited: vms"
    assert allowed.stderr == "warning: `cluster.json` was edited: vms\n"


def test_verify_of_a_file_without_digests_ends_with_3(tmp_path: Path) -> None:
    put(tmp_path, cluster_document(integrity=False, layout=False))

    done = run(tmp_path, "verify", "cluster.json")

    assert (done.returncode, "no `integrity`" in done.stderr) == (3, True)


@needs_jq
@pytest.mark.parametrize(
    ("pipeline", "inspect", "verify", "check"),
    [
        ("zcat backup.gz | jq . > new", 0, 0, 5),
        ("zcat backup.gz | jq -S . > new", 0, 0, 5),
        ("zcat backup.gz | gzip -9 > new", 0, 0, 5),
        ("zcat backup.gz > new", 0, 0, 5),
        ("zcat backup.gz | jq '.vms[\"web-1\"].memory = 8' > new", 0, 11, 5),
        ("zcat backup.gz | jq 'del(.integrity, .index, .record_tables)' > new", 0, 3, 5),
        ("head -c 3000 backup.gz > new", 10, 10, 10),
        ("cp backup.gz new", 0, 0, 0),
    ],
)
def test_what_the_shell_did_to_a_file_is_known_by_how_commands_end(
    tmp_path: Path, pipeline: str, inspect: int, verify: int, check: int
) -> None:
    put(tmp_path, cluster_document(compress=True), "backup.gz")
    subprocess.run(["sh", "-ec", pipeline], cwd=tmp_path, check=True)

    ends = [
        run(tmp_path, *words).returncode for words in (["inspect", "new"], ["verify", "new"], ["fmt", "new", "--check"])
    ]

    assert ends == [inspect, verify, check]


@needs_jq
def test_fmt_seals_what_jq_edited(tmp_path: Path) -> None:
    put(tmp_path, cluster_document())
    script = "jq '.vms[\"web-1\"].memory = 8192' cluster.json > edited.json"
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)

    done = run(tmp_path, "fmt", "edited.json")
    verified = run(tmp_path, "verify", "edited.json")
    compared = run(tmp_path, "diff", "cluster.json", "edited.json", "--exit-code")

    assert (done.returncode, verified.returncode, compared.returncode) == (0, 0, 5)
    assert done.stderr.startswith("`edited.json` is in form now: `vms` was edited, document ")
    assert compared.stdout.splitlines()[2:] == ["~ VM web-1", "    /memory: 512 -> 8192", "VMs: 1 changed"]


def test_fmt_check_names_the_file_and_the_line(tmp_path: Path) -> None:
    put(tmp_path, edited(cluster_document(), nothing))

    done = run(tmp_path, "fmt", "--check", "cluster.json")

    assert done.returncode == 5
    assert done.stdout.startswith("cluster.json: line ")


def test_diff_without_a_difference_says_so(tmp_path: Path) -> None:
    put(tmp_path, cluster_document(), "a")
    put(tmp_path, cluster_document(compress=True), "b")

    done = run(tmp_path, "diff", "a", "b", "--exit-code")

    assert (done.returncode, done.stdout) == (0, "no difference\n")


def test_diff_as_json_holds_every_field(tmp_path: Path) -> None:
    put(tmp_path, cluster_document(), "a")
    put(tmp_path, edited(cluster_document(), more_memory), "b")

    told = json.loads(run(tmp_path, "diff", "a", "b", "--json").stdout)

    assert told["differs"]
    assert told["diff"]["vms"][0]["fields"] == [{"pointer": "/memory", "before": 512, "after": 4096}]


def test_diff_reads_standard_input(tmp_path: Path) -> None:
    put(tmp_path, cluster_document(), "a")
    with Path(put(tmp_path, cluster_document(compress=True), "b")).open("rb") as given:
        done = run(tmp_path, "diff", "a", "-", "--exit-code", stdin=given)

    assert done.returncode == 0


def test_extract_takes_one_disk_out_without_a_data_directory(tmp_path: Path) -> None:
    document = cluster_document(compress=True)
    put(tmp_path, document, "backup.json.gz")

    done = run(tmp_path, "extract", "backup.json.gz", "web-1/root", "-o", "web-1.img")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "web-1.img").read_bytes() == disk_contents(document)["web-1/root"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup.json.gz", "web-1.img"]


def test_extract_from_a_pipe(tmp_path: Path) -> None:
    document = cluster_document(compress=True)
    put(tmp_path, document, "backup.gz")
    environment = cron_environment(tmp_path / "data")
    subprocess.run(
        ["sh", "-ec", f"cat backup.gz | {BLIXARD} cluster extract - db-1/data -o out -q"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )

    assert (tmp_path / "out").read_bytes() == disk_contents(document)["db-1/data"]


def test_extract_writes_a_config_file_to_standard_output(tmp_path: Path) -> None:
    put(tmp_path, cluster_document())

    done = run(tmp_path, "extract", "cluster.json", "cfg/config.nix", "-o", "-", "-q")

    assert (done.returncode, done.stdout) == (0, config_file().text)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["extract", "cluster.json", "-o", "x"], 2),
        (["extract", "cluster.json", "db-1", "-o", "x"], 2),
        (["extract", "cluster.json", "web-1", "-o", "-"], 2),
        (["extract", "cluster.json", "nobody", "-o", "x"], 20),
        (["extract", "missing.json", "web-1", "-o", "x"], 30),
        (["inspect"], 2),
        (["inspect", "missing.json"], 30),
        (["verify", "cluster.json", "-i", "other.json"], 2),
        (["diff", "cluster.json", "cluster:nobody"], 20),
        (["fmt", "-"], 2),
    ],
)
def test_mistakes_end_with_their_codes(tmp_path: Path, words: list[str], code: int) -> None:
    put(tmp_path, cluster_document())

    done = run(tmp_path, *words)

    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("verb", ["inspect", "verify", "diff", "extract", "fmt"])
def test_help_begins_with_an_example_that_is_a_line_of_this_verb(tmp_path: Path, verb: str) -> None:
    lines = run(tmp_path, verb, "--help").stdout.splitlines()

    assert lines[0] == "Examples:"
    assert lines[1].startswith(f"  blixard cluster {verb} ")


def test_the_index_of_the_test_document_is_valid(tmp_path: Path) -> None:
    with open_input(put(tmp_path, cluster_document(compress=True))) as given:
        assert open_fast(given) is not None
