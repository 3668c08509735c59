"""Files of the original Blixard: each of its versions imports, merges and replaces; and it reads what we export.

The golden files were made by hand from the facts about its format, one for each change that it made under the version
"1.0". They have none of our keys, so VMs and disks are found by name.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from support.docs_runner import ROOT
from support.documents import noise
from support.original import check_export
from support.world import World

GOLDEN = ROOT / "tests/golden/original"
FILES = sorted(each.name for each in GOLDEN.glob("*.json"))
WITH_WEB_1 = [name for name in FILES if "web-1" in json.loads((GOLDEN / name).read_text())["vms"]]
CONTENT = noise(100_000, 5)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.out.mkdir()
    made.images.mkdir()
    (made.images / "root.img").write_bytes(CONTENT)
    return made


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def export(world: World, cluster: str = "production") -> Any:
    return json.loads(world.must("cluster", "export", "-o", "-", "--no-compress", "-c", cluster).out)


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same JSON with the keys of every object in another order, as hash maps write them."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def with_defaults(vm: dict[str, Any]) -> dict[str, Any]:
    """A VM of the original with what its reader fills in."""
    nothing = {"tenant_id": "default", "ip_address": None, "metadata": None, "anti_affinity": None}
    return nothing | {"priority": 500, "preemptible": True, "health_check_config": None} | vm


def part_of(whole: dict[str, Any], keys: Any) -> dict[str, Any]:
    return {key: whole.get(key) for key in keys}


@pytest.mark.parametrize("name", FILES)
def test_every_version_becomes_a_cluster_with_all_that_it_says(name: str, world: World) -> None:
    file = golden(name)

    world.must("cluster", "import", "-i", GOLDEN / name)

    made = export(world)
    assert {vm: part_of(made["vms"][vm], with_defaults(given)) for vm, given in file["vms"].items()} == {
        vm: with_defaults(given) for vm, given in file["vms"].items()
    }
    nodes = {node["id"]: node for node in made["nodes"]}
    assert made["exported_by_node"] == file["exported_by_node"]
    assert nodes.keys() == {node["id"] for node in file["nodes"]} | {file["exported_by_node"]}
    for node in file["nodes"]:
        ours = node["id"] == file["exported_by_node"]  # this machine took its place: its facts are its own
        keys = [key for key in node if key in ("id", "topology")] if ours else list(node)
        assert part_of(nodes[node["id"]], keys) == part_of(node, keys)
    assert made["raft_state"]["term"] == 0  # a file's is for reference


@pytest.mark.parametrize("name", FILES)
def test_any_order_of_keys_and_gzip_make_the_same_cluster(name: str, world: World) -> None:
    text = json.dumps(shuffled(golden(name), random.Random(name)), indent=2)
    (world.out / "whatever.json").write_bytes(gzip.compress(text.encode()))

    world.must("cluster", "import", "-i", GOLDEN / name, "-c", "plain")
    world.must("cluster", "import", "-i", world.out / "whatever.json", "-c", "shuffled")

    one, other = export(world, "plain"), export(world, "shuffled")
    for vm in (*one["vms"].values(), *other["vms"].values()):
        del vm["id"]  # the original has none: each import makes its own
    assert (one["vms"], one["nodes"]) == (other["vms"], other["nodes"])


@pytest.mark.parametrize("mode", ["replace", "merge"])
@pytest.mark.parametrize("name", WITH_WEB_1)
def test_disks_of_vms_that_are_here_by_name_are_kept(name: str, mode: str, world: World) -> None:
    world.must("cluster", "init", "production")
    for vm in ("web-1", "bystander"):
        world.must("vm", "create", vm, "--disk", world.images / "root.img", "--label", "tier=front")
    before = export(world)

    world.must("cluster", "import", "-i", GOLDEN / name, *(["--merge"] if mode == "merge" else []))

    after, file = export(world), golden(name)
    web = after["vms"]["web-1"]
    assert part_of(web, file["vms"]["web-1"]) == file["vms"]["web-1"]
    assert (web["id"], web["disks"]) == (before["vms"]["web-1"]["id"], before["vms"]["web-1"]["disks"])
    assert ("bystander" in after["vms"]) == (mode == "merge")
    # an absent key leaves ours in a merge, and is its default in a replace
    assert web["labels"] == ({"tier": "front"} if mode == "merge" else {})
    world.must("cluster", "export", "-o", world.out / "full.json", "--include-images")
    world.must("cluster", "extract", world.out / "full.json", "web-1", "-o", world.out / "disk")
    assert (world.out / "disk").read_bytes() == CONTENT


@pytest.mark.parametrize("mode", [[], ["--merge"]])
def test_a_second_import_of_the_same_file_changes_nothing(mode: list[str], world: World) -> None:
    world.must("cluster", "import", "-i", GOLDEN / "first-ever.json")

    again = world.blixard("cluster", "import", "-i", GOLDEN / "first-ever.json", *mode, "--dry-run", "--exit-code")

    assert again.code == 0, again


def test_an_import_of_the_original_is_undone(world: World) -> None:
    world.must("cluster", "init", "production")
    world.must("vm", "create", "bystander", "--disk", world.images / "root.img")
    before = export(world)["vms"]
    world.must("cluster", "import", "-i", GOLDEN / "health-checks.json")

    world.must("cluster", "undo")

    assert export(world)["vms"] == before


@pytest.mark.parametrize("name", FILES)
def test_the_golden_files_are_what_the_original_reads(name: str) -> None:
    file = golden(name)
    for node in file["nodes"]:
        node.setdefault("bind_addr", "")  # its last version had it optional
    check_export(file)


def everything(world: World) -> None:
    """A cluster with all that ours can hold, and all that the original's can."""
    for name in WITH_WEB_1:
        world.must("cluster", "import", "-i", GOLDEN / name, "--merge", "--with-nodes", "-c", "production")
    (world.images / "vm.nix").write_text("{ }")
    world.must(
        *("vm", "create", "full", "-c", "production", "--disk", world.images / "root.img", "--file"),
        *(f"config={world.images / 'vm.nix'}", "--network", "lan,bridge=br0,ip=10.0.0.5", "--label", "a=b"),
        *("--metadata", "owner=ops", "--ip", "10.0.0.5", "--priority", "0", "--desired", "running"),
    )


@pytest.mark.parametrize("how", [[], ["--include-images"], ["--include-telemetry"], ["--template"], ["--redact"]])
def test_the_original_reads_what_we_export(how: list[str], world: World) -> None:
    everything(world)

    made = json.loads(world.must("cluster", "export", "-o", "-", "--no-compress", "-c", "production", *how).out)

    check_export(made)
    assert len(made["vms"]) >= 2


def test_it_would_notice(world: World) -> None:
    """The checker itself: each of these is what the original would stumble over."""
    everything(world)
    good = export(world)
    for path, wrong in (
        (("vms", "full", "vcpus"), "2"),
        (("vms", "full", "metadata"), {"n": 1}),
        (("vms", "full", "priority"), None),
        (("vms", "full", "locality_preference"), None),
        (("nodes", 0, "topology"), None),
        (("nodes", 0, "bind_addr"), None),
        (("nodes", 0, "metrics_port"), None),
        (("raft_state", "members"), [-1]),
        (("exported_at",), "yesterday"),
        (("version",), "1.1"),
    ):
        bad = copy.deepcopy(good)
        inner = bad
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = wrong
        with pytest.raises(AssertionError):
            check_export(bad)
