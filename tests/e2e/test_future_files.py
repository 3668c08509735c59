"""Files of later versions: what a 1.x says and we do not know passes through a cluster; a 2.0 is not guessed at."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from support.documents import noise
from support.world import World

POOLS = {"fast": {"replicas": 3, "weights": [0.5, 1e30, 18446744073709551615]}, "note": "naïve ☃"}
LEVELS = {
    "document": (),
    "metadata": ("metadata",),
    "node": ("nodes", 1),  # a record: of a file, a living node takes nothing but labels and topology
    "VM": ("vms", "web-1"),
    "disk": ("vms", "web-1", "disks", 0),
    "file": ("vms", "web-1", "files", 0),
    "network": ("vms", "web-1", "networks", 0),
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.out.mkdir()
    made.images.mkdir()
    (made.images / "root.img").write_bytes(noise(70_000, 5))
    (made.images / "vm.nix").write_text("{ }")
    made.must("cluster", "init", "lab")
    made.must(
        *("vm", "create", "web-1", "--disk", made.images / "root.img", "--network", "lan,bridge=br0"),
        *("--file", f"config={made.images / 'vm.nix'}"),
    )
    return made


def export(world: World, *more: str) -> Any:
    return json.loads(world.must("cluster", "export", "-o", "-", "--no-compress", *more).out)


def at(document: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def of_version(world: World, version: str, *more: str) -> Any:
    """What a later version wrote: its number, and a key that we do not know at every level where that is allowed."""
    document = export(world, *more)
    document["version"] = version
    del document["integrity"]
    document["nodes"].append({**document["nodes"][0], "id": 7, "name": "far", "state": "absent"})
    for level, path in LEVELS.items():
        at(document, path)["pools"] = {**POOLS, "level": level}
    return document


def write(world: World, document: Any) -> Path:
    path = world.out / "future.json"
    path.write_text(json.dumps(document, ensure_ascii=False))
    return path


def kept(document: Any) -> dict[str, Any]:
    return {level: at(document, path).get("pools") for level, path in LEVELS.items()}


EVERYTHING = {level: {**POOLS, "level": level} for level in LEVELS}


@pytest.mark.parametrize("images", [[], ["--include-images"]])
@pytest.mark.parametrize("mode", [[], ["--merge"]])
def test_unknown_keys_of_a_later_version_survive_a_cluster(mode: list[str], images: list[str], world: World) -> None:
    """With images they stand behind them, where only the end of the document shows them."""
    file = write(world, of_version(world, "1.7", *images))

    told = world.must("cluster", "import", "-i", file, *mode)

    assert "kept for a later version of blixard that knows them: `metadata/pools`, `pools`" in told.err
    made = export(world)
    assert kept(made) == EVERYTHING
    assert made["version"] == "1.0"
    assert "kept" not in made["metadata"]["provenance"]


def test_a_second_import_of_a_later_version_changes_nothing(world: World) -> None:
    file = write(world, of_version(world, "1.7"))
    world.must("cluster", "import", "-i", file)

    again = world.blixard("cluster", "import", "-i", file, "--dry-run", "--exit-code")

    assert again.code == 0, again


def test_unknown_keys_go_through_a_new_cluster_and_its_own_export(world: World) -> None:
    world.must("cluster", "import", "-i", write(world, of_version(world, "1.7")), "-c", "one")
    world.must("cluster", "export", "-c", "one", "-o", world.out / "one.json.gz")
    world.must("cluster", "import", "-i", world.out / "one.json.gz", "-c", "two")

    assert kept(export(world, "-c", "two")) == EVERYTHING
    assert kept(export(world, "-c", "two", "--template")) == EVERYTHING


def test_undo_takes_unknown_keys_back(world: World) -> None:
    world.must("cluster", "import", "-i", write(world, of_version(world, "1.7")))

    world.must("cluster", "undo")

    made = export(world)
    made["nodes"].append({})
    assert kept(made) == dict.fromkeys(LEVELS)


def test_a_replace_without_them_removes_unknown_keys_and_a_part_does_not(world: World) -> None:
    before = export(world)
    world.must("cluster", "import", "-i", write(world, of_version(world, "1.7")))

    world.must("cluster", "import", "-i", write(world, before), "--only", "vm=nothing-*", "--accept-edited")
    after_part = export(world)["pools"]
    world.must("cluster", "import", "-i", write(world, before), "--accept-edited")

    assert after_part == EVERYTHING["document"]
    assert "pools" not in export(world)


def test_secrets_in_unknown_keys_are_masked_and_not_kept_as_masks(world: World) -> None:
    document = of_version(world, "1.7")
    document["vault"] = {"password": "hunter2"}
    world.must("cluster", "import", "-i", write(world, document))

    made = export(world, "--redact")
    world.must("cluster", "import", "-i", write(world, made), "-c", "copy", "--accept-edited")

    assert "hunter2" not in json.dumps(made)
    assert "/vault/password" in made["metadata"]["redacted"]
    assert "vault" not in export(world, "-c", "copy")


@pytest.mark.parametrize("version", ["2.0", "2", "0.9", "1", "one"])
@pytest.mark.parametrize("compressed", [False, True])
def test_another_version_is_refused_saying_what_wrote_it(version: str, world: World, *, compressed: bool) -> None:
    document = of_version(world, version)
    document["metadata"]["exporter"] = "blixard 9.4"
    file = write(world, document)
    if compressed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    before = export(world)

    for verb in (["import", "-i"], ["import", "--merge", "-i"], ["inspect"], ["verify"]):
        told = world.blixard("cluster", *verb, file)

        assert told.code == 12, told
        assert "error: unsupported export format version" in told.err
        assert "blixard 9.4" in told.err
    assert export(world)["vms"] == before["vms"]


def test_a_feature_that_is_required_and_not_known_is_refused(world: World) -> None:
    document = of_version(world, "1.9")
    document["metadata"]["requires"] = ["delta-images"]

    told = world.blixard("cluster", "import", "-i", write(world, document))

    assert told.code == 12
    assert "delta-images" in told.err


def test_an_unknown_key_where_none_may_be_is_malformed(world: World) -> None:
    whole = of_version(world, "1.7", "--include-images")
    for path in (("images", 0), ("images", 0, "records", 0)):
        document = copy.deepcopy(whole)
        at(document, path)["pools"] = POOLS

        assert world.blixard("cluster", "import", "-i", write(world, document)).code == 10
